-- The days of the store: rows as the planner last counted them (-1: not yet), octets with indexes and TOAST, by table.
select right(c.relname, 8) as day, p.relname as table_name, c.reltuples::bigint as rows,
       pg_total_relation_size(c.oid) as size_octets
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
join pg_class p on p.oid = i.inhparent
where p.relname in ('message', 'segment', 'part_outcome') and p.relkind = 'p' and c.relkind = 'r'
order by 1, 2
