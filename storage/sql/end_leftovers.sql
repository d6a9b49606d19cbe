-- Connections that an earlier run of this node left behind, as after kill -9: a commit of theirs may still be under way.
-- $1 what their application_name looks like. Returns how many there are; they are told to end.
select count(pg_terminate_backend(pid))
from pg_stat_activity
where application_name like $1 and datname = current_database() and pid <> pg_backend_pid()
