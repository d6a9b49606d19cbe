-- What came in becomes entries; one that is there already stays as it is when nothing about it changes. Of a number that
-- came in several times, the longest counts; $4 is the end of those without one of their own.
insert into stop_entry (list, prefix, number, mark, version)
select $1, incoming.prefix, incoming.number, ended.mark, $2
from (
    select distinct on (prefix, number) prefix, number, coalesce(until, $4) as until
    from stop_incoming
    order by prefix, number, coalesce(until, $4) = 0 desc, until desc
) incoming
join stop_incoming_mark ended using (until)
on conflict (list, prefix, number) do update
set mark = excluded.mark, version = excluded.version, removed = false
where stop_entry.removed
    or (stop_entry.mark, excluded.mark) not in (
        select earlier.id, ended.mark
        from stop_mark earlier
        join stop_incoming_mark ended using (until)
        where earlier.note = $3
    )
