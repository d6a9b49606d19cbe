-- The lanes that hold anything on disk: $1 node. From each to the next by the index, however much they hold.
with recursive lane as (
    (
        select outbox, priority, account from waiting where node = $1
        order by outbox, priority, account
        limit 1
    )
    union all
    select following.* from lane cross join lateral (
        select w.outbox, w.priority, w.account from waiting w
        where w.node = $1 and (w.outbox, w.priority, w.account) > (lane.outbox, lane.priority, lane.account)
        order by w.outbox, w.priority, w.account
        limit 1
    ) as following
)
select outbox, priority, account from lane
