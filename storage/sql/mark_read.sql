-- Messages on disk that the run before had read for their upstream, and may have submitted: $1 node.
with place as (delete from lane where node = $1 returning outbox, priority, due_at, seq)
update message m set repeated = true
from place p join waiting w on w.node = $1 and w.outbox = p.outbox and w.priority = p.priority
  and (w.due_at, w.seq) <= (p.due_at, p.seq)
where m.id = w.message_id and m.state = 1
