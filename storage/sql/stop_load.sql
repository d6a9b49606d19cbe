-- A whole list, its numbers in order.
select prefix, number, mark from stop_entry where list = $1 and not removed order by prefix, number
