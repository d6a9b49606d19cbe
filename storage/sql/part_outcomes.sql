-- All outcomes so far of the segments of some messages: $1 ids; $2 and $3 bound them.
select message_id, part, state, error from part_outcome
where message_id = any($1::bigint[]) and message_id between $2 and $3
