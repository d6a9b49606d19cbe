-- Messages go to another upstream: $1 ids, which $2 and $3 bound; $4 the upstreams that get them, $5 those that got them
-- the last time, '' if none did. One that is final, or that yet another upstream has meanwhile, stays as it is. With $6 an
-- earlier run may have done the same: what it did counts. $7 whether the one before has refused them: what the route's
-- own upstream has never taken costs nothing by it.
update message m set next_upstream = u.next, cost = case when u.refused and u.before = '' then 0 else m.cost end
from unnest($1::bigint[], $4::text[], $5::text[], $7::boolean[]) as u(id, next, before, refused)
where m.id = u.id and m.id between $2 and $3 and m.state = 1
  and (m.next_upstream = u.before or ($6 and m.next_upstream = u.next))
returning m.id
