-- Segments whose commit may have happened already: $1 upstreams, $2 upstream_message_ids, $3 message ids.
insert into segment (upstream, upstream_message_id, message_id)
select * from unnest($1::text[], $2::text[], $3::bigint[])
on conflict do nothing
