-- All that did not come in is taken off a list.
update stop_entry set removed = true, mark = $2, version = $3
where list = $1 and not removed
    and not exists (
        select from stop_incoming
        where stop_incoming.prefix = stop_entry.prefix and stop_incoming.number = stop_entry.number
    )
