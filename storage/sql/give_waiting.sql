-- A page of what is due in one outbox on disk goes to another node: $1 from, $2 to, $3 outbox, $4 now, but not $5 messages,
-- $6 at most. Due from now on, so that it goes behind what was read there.
with page as (
    select ctid from waiting
    where node = $1 and outbox = $3 and due_at <= $4 and message_id <> all($5::bigint[])
    order by priority desc, due_at, seq
    limit $6
),
moved as (
    update waiting w set node = $2, due_at = $4 from page where w.ctid = page.ctid
    returning w.outbox, w.priority, w.account, w.due_at
)
select outbox, priority, account, count(*) as messages, min(due_at) as first_due_at from moved group by 1, 2, 3
