-- A mark for each end of what came in: $1 since, $2 the end of entries that have none of their own, $3 note, $4 who.
with ended as (
    insert into stop_mark (since, until, note, who)
    select $1, until, $3, $4 from (select distinct coalesce(until, $2) as until from stop_incoming) as ends
    returning id, until
)
insert into stop_incoming_mark (until, mark) select until, id from ended
