-- The head of each lane on disk, by the index, however much the lanes hold: $1 node, $2 how many lanes at most.
with recursive head as (
    (
        select outbox, priority, account, message_id from waiting where node = $1
        order by outbox, priority, account, due_at, seq
        limit 1
    )
    union all
    select following.* from head cross join lateral (
        select w.outbox, w.priority, w.account, w.message_id from waiting w
        where w.node = $1 and (w.outbox, w.priority, w.account) > (head.outbox, head.priority, head.account)
        order by w.outbox, w.priority, w.account, w.due_at, w.seq
        limit 1
    ) as following
)
select outbox, priority, account, message_id from head limit $2
