-- Messages go to another upstream: $1 ids, which $2 and $3 bound; $4 the upstreams that get them, $5 those that got them
-- the last time, '' if none did. One that is final, or that yet another upstream has meanwhile, stays as it is. With $6 an
-- earlier run may have done the same: what it did counts.
update message m set next_upstream = u.next
from unnest($1::bigint[], $4::text[], $5::text[]) as u(id, next, before)
where m.id = u.id and m.id between $2 and $3 and m.state = 1
  and (m.next_upstream = u.before or ($6 and m.next_upstream = u.next))
returning m.id
