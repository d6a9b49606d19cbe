-- Marks before $1 that no entry has any more.
delete from stop_mark where since < $1 and not exists (select from stop_entry where stop_entry.mark = stop_mark.id)
