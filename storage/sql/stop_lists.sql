-- The lists, how many numbers and prefixes each has, and when it last changed.
select
    stop_list.name,
    count(*) filter (where not stop_entry.removed and not stop_entry.prefix) as numbers,
    count(*) filter (where not stop_entry.removed and stop_entry.prefix) as prefixes,
    (select max(since) from stop_mark where id = max(stop_entry.mark)) as changed
from stop_list
left join stop_entry on stop_entry.list = stop_list.id
group by stop_list.id, stop_list.name
order by stop_list.name
