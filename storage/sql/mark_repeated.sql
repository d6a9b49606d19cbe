-- Messages of which an earlier submit_sm may have reached the operator: $1 ids; $2 and $3 bound them.
update message m set repeated = true from unnest($1::bigint[]) as u(id) where m.id = u.id and m.id between $2 and $3
