select outbox, priority, account, count(*) as messages, min(due_at) as first_due
from waiting
where node = $1
group by 1, 2, 3
