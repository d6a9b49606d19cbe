-- What ran out is taken off a list.
update stop_entry set removed = true, mark = $2, version = $3
where list = $1 and not removed
    and mark = any(array(select id from stop_mark where until <> 0 and until <= $4))
