-- Segments whose commit may have happened already: $1 upstreams, $2 upstream_message_ids, $3 message ids, $4 parts,
-- $5 into how many. The messages in $6 leave outboxes whose names begin with $7.
with departed as (
    delete from waiting where message_id = any($6::bigint[]) and starts_with(outbox, $7)
)
insert into segment (upstream, upstream_message_id, message_id, part, parts)
select * from unnest($1::text[], $2::text[], $3::bigint[], $4::smallint[], $5::smallint[])
on conflict do nothing
