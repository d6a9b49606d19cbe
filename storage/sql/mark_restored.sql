-- After a restore, in its transaction: what was unfinished when the backup was taken may have reached its operator since.
-- Every message that no operator had taken whole is marked so; the next start sends it.
set search_path = public;
analyze;
create temporary table taken_whole on commit drop as
    select message_id from segment group by message_id having count(distinct part) >= max(parts);
analyze taken_whole;
update message m set repeated = true
where m.kind = 0 and m.state = 1 and not m.repeated
  and not exists (select from taken_whole t where t.message_id = m.id);
