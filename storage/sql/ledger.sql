-- Every message the store knows of by kind and state, dropped partitions included; of those that are not final, where
-- they are. `recent` are above their node's low-water mark: in its memory, or taken up by its next start.
with unfinished as (
    select m.kind, m.state, m.notice,
           exists (select from waiting w where w.message_id = m.id) as on_disk,
           exists (select from segment s where s.message_id = m.id) as with_operator,
           m.id >= coalesce((select n.low_water from node n where n.node = (m.id >> 14) & 255), 0) as recent
    from message m
    where m.state = 1
),
counted as (
    select kind, state, notice, count(*) as messages from message group by 1, 2, 3
    union all
    select kind, state, notice, messages from dropped
)
select kind, state, notice, sum(messages)::bigint as messages, 0 as place from counted group by 1, 2, 3
union all
select kind, state, notice, count(*),
       case when on_disk then 1 when with_operator then 2 when recent then 3 else 4 end as place
from unfinished group by 1, 2, 3, 5
