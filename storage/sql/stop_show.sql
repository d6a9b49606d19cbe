-- Where a number stands: as itself ($1), or under a prefix ($2). Entries that were taken off say so for a day.
select
    stop_list.name, stop_entry.prefix, stop_entry.number, stop_entry.removed,
    stop_mark.since, stop_mark.until, stop_mark.note, stop_mark.who
from stop_list
join stop_entry on stop_entry.list = stop_list.id
join stop_mark on stop_mark.id = stop_entry.mark
where (not stop_entry.prefix and stop_entry.number = $1) or (stop_entry.prefix and stop_entry.number = any($2::bigint[]))
order by stop_list.name, stop_entry.prefix, stop_entry.number
