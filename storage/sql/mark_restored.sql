-- After a restore: what was unfinished when the backup was taken may have reached its operator since. Every message that
-- no operator had taken whole is marked so; a next start sends it.
update message m set repeated = true
where m.kind = 0 and m.state = 1 and not m.repeated
  and (select count(distinct s.part) < coalesce(max(s.parts), 1) from segment s where s.message_id = m.id)
