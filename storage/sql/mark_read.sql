-- Messages on disk that the run before had read for their upstream, and may have submitted: $1 node. `offset 0` keeps the
-- look at each lane apart, so that what lies behind its place is not touched, however much that is.
with place as (delete from lane where node = $1 returning outbox, priority, due_at, seq)
update message m set repeated = true
from place p cross join lateral (
    select w.message_id from waiting w
    where w.node = $1 and w.outbox = p.outbox and w.priority = p.priority and (w.due_at, w.seq) <= (p.due_at, p.seq)
    offset 0
) as had_read
where m.id = had_read.message_id and m.state = 1
