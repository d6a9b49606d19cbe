-- $1 node, $2 now.
select outbox, priority, account, count(*) as messages, count(*) filter (where due_at <= $2) as due
from waiting
where node = $1
group by 1, 2, 3
