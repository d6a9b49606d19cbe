-- Receipts are expected by a time: $1 message ids, $2 node, $3 upstreams, $4 due_at.
insert into receipt_due (message_id, node, upstream, due_at)
select u.id, $2, u.upstream, u.due_at from unnest($1::bigint[], $3::text[], $4::bigint[]) as u(id, upstream, due_at)
on conflict (message_id) do update set upstream = excluded.upstream, due_at = excluded.due_at
