-- What was taken off before $1 is forgotten.
delete from stop_entry
using stop_mark
where stop_entry.removed and stop_mark.id = stop_entry.mark and stop_mark.since < $1
