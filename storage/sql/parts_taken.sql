-- Which segments of some messages operators have taken: $1 ids; $2 and $3 bound them.
select message_id, upstream, upstream_message_id, part, parts from segment
where message_id = any($1::bigint[]) and message_id between $2 and $3
