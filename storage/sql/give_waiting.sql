-- A page of what is due in one lane on disk goes to another node: $1 from, $2 to, $3 outbox, $4 priority, $5 account, $6
-- now, but not $7 messages, $8 at most. Due from now on, so that it goes behind what was read there.
with page as (
    select ctid from waiting
    where node = $1 and outbox = $3 and priority = $4 and account = $5 and due_at <= $6
      and message_id <> all($7::bigint[])
    order by due_at, seq
    limit $8
),
moved as (
    update waiting w set node = $2, due_at = $6 from page where w.ctid = page.ctid
    returning w.outbox, w.priority, w.account, w.due_at
)
select outbox, priority, account, count(*) as messages, min(due_at) as first_due_at from moved group by 1, 2, 3
