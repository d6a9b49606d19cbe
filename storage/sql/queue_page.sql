-- A page of one lane on disk, due or not: $1 node, $2 outbox, $3 priority, $4 account, after ($5 due_at, $6 seq), $7 at most.
select w.seq, w.due_at, m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu, m.notice,
       m.state, m.error, m.done_at, m.repeated, m.segments, m.reference, m.shown_id,
       m.country, m.operator, m.category, m.price, m.cost, m.charge, m.asked, m.next_upstream, w.attempts
from (
    select w.seq, w.due_at, w.message_id, w.attempts from waiting w
    where w.node = $1 and w.outbox = $2 and w.priority = $3 and w.account = $4 and (w.due_at, w.seq) > ($5, $6)
    order by w.due_at, w.seq
    limit $7
) as w join message m on m.id = w.message_id
order by w.due_at, w.seq
