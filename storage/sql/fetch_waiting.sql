-- The head of one lane: $1 node, $2 outbox, $3 priority, after ($4 due_at, $5 seq), due by $6, at most $7.
select w.seq, w.due_at, m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu, m.notice, m.state,
       m.error, m.done_at, m.repeated, m.segments, m.reference, m.shown_id,
       m.country, m.operator, m.category, m.price, m.cost, m.charge, m.asked, m.next_upstream, w.attempts
from waiting w join message m on m.id = w.message_id
where w.node = $1 and w.outbox = $2 and w.priority = $3 and (w.due_at, w.seq) > ($4, $5) and w.due_at <= $6
order by w.due_at, w.seq
limit $7
