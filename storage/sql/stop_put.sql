-- What came in becomes entries; one that is there already stays as it is when nothing about it changes.
insert into stop_entry (list, prefix, number, mark, version)
select $1, incoming.prefix, incoming.number, $2, $3
from (select distinct prefix, number from stop_incoming order by prefix, number) incoming
on conflict (list, prefix, number) do update
set mark = excluded.mark, version = excluded.version, removed = false
where stop_entry.removed
    or stop_entry.mark not in (select id from stop_mark where until = $4 and note = $5)
