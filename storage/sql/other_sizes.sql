-- The tables that are not cut into days: rows as the planner last counted them (-1: not yet), octets with indexes.
select c.relname as table_name, c.reltuples::bigint as rows, pg_total_relation_size(c.oid) as size_octets
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and not c.relispartition
order by 3 desc, 1
