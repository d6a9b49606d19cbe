-- The newest message behind each receipt: $1 upstreams, $2 upstream_message_ids, $3 places in the question.
select u.place, found.part, found.parts, m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu,
       m.notice, m.state,
       m.error, m.done_at, m.repeated, m.segments, m.reference, m.shown_id,
       m.country, m.operator, m.category, m.price, m.cost, m.charge, m.asked, m.next_upstream
from unnest($1::text[], $2::text[], $3::integer[]) as u(upstream, upstream_message_id, place)
cross join lateral (
    select s.message_id, s.part, s.parts from segment s
    where s.upstream = u.upstream collate "C" and s.upstream_message_id = u.upstream_message_id collate "C"
    order by s.message_id desc limit 1
) as found
join message m on m.id = found.message_id
