-- Segments whose commit may have happened already: $1 upstreams, $2 upstream_message_ids, $3 message ids, $4 parts,
-- $5 into how many.
insert into segment (upstream, upstream_message_id, message_id, part, parts)
select * from unnest($1::text[], $2::text[], $3::bigint[], $4::smallint[], $5::smallint[])
on conflict do nothing
