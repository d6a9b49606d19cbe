-- Messages on disk that the run before had read for their upstream, and may have submitted: $1 node. `offset 0` keeps the
-- look at each lane apart, so that what lies behind its place is not touched, however much that is. Table `lane` has the
-- places that a release without accounts in its lanes has left.
with place as (delete from lane_read where node = $1 returning outbox, priority, account, due_at, seq),
before as (delete from lane where node = $1 returning outbox, priority, due_at, seq),
had_read as (
    select w.message_id from place p cross join lateral (
        select w.message_id from waiting w
        where w.node = $1 and w.outbox = p.outbox and w.priority = p.priority and w.account = p.account
          and (w.due_at, w.seq) <= (p.due_at, p.seq)
        offset 0
    ) as w
    union all
    select w.message_id from before p cross join lateral (
        select w.message_id from waiting w
        where w.node = $1 and w.outbox = p.outbox and w.priority = p.priority and (w.due_at, w.seq) <= (p.due_at, p.seq)
        offset 0
    ) as w
)
update message m set repeated = true from had_read where m.id = had_read.message_id and m.state = 1
