-- What changed on a list after one version, up to another.
select prefix, number, mark, removed, since, until, note
from stop_entry
join stop_mark on stop_mark.id = stop_entry.mark
where list = $1 and version > $2 and version <= $3
