-- How much each lane on disk holds, and how much of it is due: $1 node, $2 now. From lane to lane by the index, and each
-- counted in it, without a look at the rows where PostgreSQL knows that all of a page are there.
with recursive lane as (
    (select outbox, priority, account from waiting where node = $1 order by outbox, priority, account limit 1)
    union all
    select following.* from lane cross join lateral (
        select w.outbox, w.priority, w.account from waiting w
        where w.node = $1 and (w.outbox, w.priority, w.account) > (lane.outbox, lane.priority, lane.account)
        order by w.outbox, w.priority, w.account
        limit 1
    ) as following
)
select lane.outbox, lane.priority, lane.account, counted.messages, counted.due
from lane cross join lateral (
    select count(*) as messages, count(*) filter (where w.due_at <= $2) as due from waiting w
    where w.node = $1 and w.outbox = lane.outbox and w.priority = lane.priority and w.account = lane.account
) as counted
