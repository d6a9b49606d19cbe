-- The lists that hold what ran out.
select distinct stop_list.name
from stop_mark
join stop_entry on stop_entry.mark = stop_mark.id
join stop_list on stop_list.id = stop_entry.list
where stop_mark.until <> 0 and stop_mark.until <= $1 and not stop_entry.removed
order by stop_list.name
