-- A page of messages whose time ran out while they waited outside memory: $1 node, $2 now, after ($3 expires_at,
-- $4 message id), $5 at most.
select w.outbox, w.expires_at as waits_until, m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at,
       m.pdu, m.notice, m.state, m.error, m.done_at, m.repeated, m.segments, m.reference, m.shown_id,
       m.country, m.operator, m.category, m.price, m.cost, m.charge, m.asked, w.attempts
from waiting w join message m on m.id = w.message_id
where w.node = $1 and w.expires_at <= $2 and (w.expires_at, w.message_id) > ($3, $4)
order by w.expires_at, w.message_id
limit $5
