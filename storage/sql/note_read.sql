-- Lanes have been read up to a place: $1 node, $2 outbox; per lane $3 priorities, $4 accounts, $5 due_at, $6 seq. The
-- furthest place of each stays.
insert into lane_read as l (node, outbox, priority, account, due_at, seq)
select $1, $2, u.* from unnest($3::smallint[], $4::text[], $5::bigint[], $6::bigint[]) as u
on conflict (node, outbox, priority, account) do update set due_at = excluded.due_at, seq = excluded.seq
where (l.due_at, l.seq) < (excluded.due_at, excluded.seq)
