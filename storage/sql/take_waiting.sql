-- A page of what waits on disk changes its node: $1 from, $2 to, $3 at most. What it is, as the taker counts it.
with page as (select ctid from waiting where node = $1 limit $3),
moved as (
    update waiting w set node = $2 from page where w.ctid = page.ctid
    returning w.outbox, w.priority, w.account, w.due_at
)
select outbox, priority, account, count(*) as messages, min(due_at) as first_due_at from moved group by 1, 2, 3
