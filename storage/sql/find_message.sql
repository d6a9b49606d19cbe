-- The MT messages of accounts that go by a message_id, for many who ask: $1 ids, $2 accounts. Several messages share the
-- id of a submit_multi, all of about the same time: $3 theirs are below. `question` is its place, from 1.
select asked.place as question, m.*
from unnest($1::bigint[], $2::text[], $3::bigint[]) with ordinality as asked(id, account, below, place)
cross join lateral (
    select m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu, m.notice, m.state, m.error,
           m.done_at, m.repeated, m.segments, m.reference, m.shown_id,
           m.country, m.operator, m.category, m.price, m.cost, m.charge, m.asked
    from message m
    where m.id = asked.id and m.account = asked.account and m.kind = 0
    union all
    select m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu, m.notice, m.state, m.error,
           m.done_at, m.repeated, m.segments, m.reference, m.shown_id,
           m.country, m.operator, m.category, m.price, m.cost, m.charge, m.asked
    from message m
    where m.shown_id = asked.id and m.shown_id <> 0 and m.id > asked.id and m.id < asked.below
      and m.account = asked.account and m.kind = 0
) as m
