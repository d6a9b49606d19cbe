-- Which lanes hold anything on disk after the place they were read up to: $1 node; per lane $2 outboxes, $3 priorities,
-- $4 due_at, $5 seq.
select u.outbox, u.priority
from unnest($2::text[], $3::smallint[], $4::bigint[], $5::bigint[]) as u(outbox, priority, due_at, seq)
where exists (
    select from waiting w
    where w.node = $1 and w.outbox = u.outbox collate "C" and w.priority = u.priority
      and (w.due_at, w.seq) > (u.due_at, u.seq)
)
