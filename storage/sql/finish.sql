-- Messages become final: $1 ids, $2 and $3 bound them; $4 state, $5 notice, $6 error, $7 done_at.
-- A message that is final already stays as it is.
update message
set state = $4, notice = $5, error = $6, done_at = $7
where id = any($1::bigint[]) and id between $2 and $3 and state = 1
