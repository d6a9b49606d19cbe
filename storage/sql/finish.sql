-- Messages become final: $1 ids, $2 states, $3 notices, $4 errors, $5 done_at; $6 and $7 bound the ids.
-- A message that is final already stays as it is: returns the ids that changed.
update message m
set state = u.state, notice = u.notice, error = u.error, done_at = u.done_at
from unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::integer[], $5::bigint[])
     as u(id, state, notice, error, done_at)
where m.id = u.id and m.id between $6 and $7 and m.state = 1
returning m.id
