-- How much each lane on disk holds, of all nodes: $1 now; each counted up to $2; $3 outbox, $4 account, $5 priority, null
-- for all of them; $6 lanes at most. From lane to lane by the index, and each counted in it.
with recursive lane as (
    (select node, outbox, priority, account from waiting order by node, outbox, priority, account limit 1)
    union all
    select following.* from lane cross join lateral (
        select w.node, w.outbox, w.priority, w.account from waiting w
        where (w.node, w.outbox, w.priority, w.account) > (lane.node, lane.outbox, lane.priority, lane.account)
        order by w.node, w.outbox, w.priority, w.account
        limit 1
    ) as following
),
wanted as (
    select * from lane
    where ($3::text is null or outbox = $3) and ($4::text is null or account = $4)
      and ($5::smallint is null or priority = $5)
    limit $6
)
select l.node, l.outbox, l.priority, l.account, due.messages, later.messages, coalesce(head.message_id, 0)
from wanted l
    cross join lateral (
        select count(*) as messages from (
            select from waiting w
            where w.node = l.node and w.outbox = l.outbox and w.priority = l.priority and w.account = l.account
              and w.due_at <= $1
            limit $2
        ) as counted
    ) as due
    cross join lateral (
        select count(*) as messages from (
            select from waiting w
            where w.node = l.node and w.outbox = l.outbox and w.priority = l.priority and w.account = l.account
              and w.due_at > $1
            limit $2
        ) as counted
    ) as later
    left join lateral (
        select w.message_id from waiting w
        where w.node = l.node and w.outbox = l.outbox and w.priority = l.priority and w.account = l.account
        order by w.due_at, w.seq
        limit 1
    ) as head on true
