-- MT messages of a span of ids that an operator has answered for but never sent a receipt of: $1 from, $2 below this id,
-- $3 their time ran out before, $4 at most.
select m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu, m.notice, m.state, m.error, m.done_at,
       m.repeated, m.segments, m.reference, m.shown_id,
       m.country, m.operator, m.category, m.price, m.cost, m.charge, m.asked
from message m
where m.id >= $1 and m.id < $2 and m.state = 1 and m.kind = 0 and m.expires_at < $3
  and not exists (select from waiting w where w.message_id = m.id)
order by m.id
limit $4
