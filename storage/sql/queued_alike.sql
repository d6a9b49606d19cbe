-- What waits on disk for an upstream, newest first, of all messages that may have the same addresses: $1 node, $2 their
-- search_key, $3 ids below this, $4 at most. `begun` as in queued_by_id. The page is chosen before its messages are read:
-- the newest of each span of rows, as in the index (0009_lanes.sql), then of all of them.
with recursive span as (
    (select seq >> 18 as number from waiting where search <> 0 order by seq >> 18 desc limit 1)
    union all
    select following.number from span cross join lateral (
        select w.seq >> 18 as number from waiting w
        where w.search <> 0 and w.seq >> 18 < span.number
        order by w.seq >> 18 desc
        limit 1
    ) as following
)
select w.outbox, w.due_at, m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu, m.notice, m.state,
       m.error, m.done_at, m.repeated, m.segments, m.reference, m.shown_id,
       m.country, m.operator, m.category, m.price, m.cost, m.charge, m.asked, w.attempts,
       exists (select from segment s where s.message_id = m.id) as begun
from (
    select found.* from span cross join lateral (
        select w.outbox, w.due_at, w.message_id, w.attempts from waiting w
        where w.seq >> 18 = span.number and w.search = $2 and w.search <> 0 and w.node = $1 and w.message_id < $3
        order by w.message_id desc
        limit $4
    ) as found
    order by found.message_id desc
    limit $4
) as w join message m on m.id = w.message_id
order by w.message_id desc
