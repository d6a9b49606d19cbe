-- What came in is taken off a list.
update stop_entry set removed = true, mark = $2, version = $3
from (select distinct prefix, number from stop_incoming) incoming
where stop_entry.list = $1 and stop_entry.prefix = incoming.prefix and stop_entry.number = incoming.number
    and not stop_entry.removed
