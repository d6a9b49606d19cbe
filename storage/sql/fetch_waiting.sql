-- The heads of lanes of one outbox: $1 node, $2 outbox; per lane $3 priorities, $4 accounts, after ($5 due_at, $6 seq), $7
-- at most; due by $8. `lane` counts them from 1.
select u.lane, w.seq, w.due_at, m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu, m.notice,
       m.state, m.error, m.done_at, m.repeated, m.segments, m.reference, m.shown_id,
       m.country, m.operator, m.category, m.price, m.cost, m.charge, m.asked, m.next_upstream, w.attempts
from unnest($3::smallint[], $4::text[], $5::bigint[], $6::bigint[], $7::integer[])
         with ordinality as u(priority, account, due_at, seq, most, lane)
    cross join lateral (
        select w.seq, w.due_at, w.message_id, w.attempts from waiting w
        where w.node = $1 and w.outbox = $2 and w.priority = u.priority and w.account = u.account collate "C"
          and (w.due_at, w.seq) > (u.due_at, u.seq) and w.due_at <= $8
        order by w.due_at, w.seq
        limit u.most
    ) as w
    join message m on m.id = w.message_id
order by u.lane, w.due_at, w.seq
