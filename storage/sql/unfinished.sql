-- A page of what a restart finds unfinished and in no outbox on disk: $1 above this id, $2 up to this id, $3 at most, of
-- $4 node.
select m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu, m.notice, m.state, m.error, m.done_at,
       m.repeated, m.segments, m.reference, m.shown_id,
       m.country, m.operator, m.category, m.price, m.cost, m.charge, m.asked, m.next_upstream
from message m
where m.id > $1 and m.id <= $2 and (m.id >> 14) & 255 = $4 and (m.state = 1 or m.notice = 2)
  and not exists (select from waiting w where w.message_id = m.id)
order by m.id
limit $3
