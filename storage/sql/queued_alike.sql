-- What waits on disk for an upstream, newest first, of all messages that may have the same addresses: $1 node, $2 their
-- search_key, $3 ids below this, $4 at most. `begun` as in queued_by_id. The page is chosen before its messages are read.
select w.outbox, w.due_at, m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu, m.notice, m.state,
       m.error, m.done_at, m.repeated, m.segments, m.reference, m.shown_id,
       m.country, m.operator, m.category, m.price, m.cost, m.charge, m.asked, w.attempts,
       exists (select from segment s where s.message_id = m.id) as begun
from (
    select outbox, due_at, message_id, attempts from waiting
    where search = $2 and search <> 0 and node = $1 and message_id < $3
    order by message_id desc
    limit $4
) as w join message m on m.id = w.message_id
order by w.message_id desc
