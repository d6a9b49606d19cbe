-- What waits on disk for an upstream, of some messages: $1 node, $2 ids, $3 and $4 bound them. `begun`: an operator has
-- taken a segment of it.
select w.outbox, w.due_at, m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu, m.notice, m.state,
       m.error, m.done_at, m.repeated, m.segments, m.reference, m.shown_id,
       m.country, m.operator, m.category, m.price, m.cost, m.charge, m.asked, w.attempts,
       exists (select from segment s where s.message_id = m.id) as begun
from waiting w join message m on m.id = w.message_id
where w.message_id = any($2::bigint[]) and w.node = $1 and starts_with(w.outbox, 'upstream ')
  and m.id between $3 and $4 and m.state = 1
order by m.id desc
