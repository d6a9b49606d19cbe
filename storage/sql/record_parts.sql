-- Segments have an outcome: $1 message ids, $2 parts, $3 states, $4 errors. The first outcome of a segment counts.
insert into part_outcome (message_id, part, state, error)
select * from unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::bigint[])
on conflict do nothing
