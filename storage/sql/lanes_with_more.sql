-- Which lanes hold anything on disk after the place they were read up to: $1 node; per lane $2 outboxes, $3 priorities, $4
-- accounts, $5 due_at, $6 seq.
select u.outbox, u.priority, u.account
from unnest($2::text[], $3::smallint[], $4::text[], $5::bigint[], $6::bigint[])
    as u(outbox, priority, account, due_at, seq)
where exists (
    select from waiting w
    where w.node = $1 and w.outbox = u.outbox collate "C" and w.priority = u.priority
      and w.account = u.account collate "C" and (w.due_at, w.seq) > (u.due_at, u.seq)
)
