-- A lane has been read up to a place: $1 node, $2 outbox, $3 priority, $4 due_at, $5 seq. The furthest place stays.
insert into lane (node, outbox, priority, due_at, seq) values ($1, $2, $3, $4, $5)
on conflict (node, outbox, priority) do update set due_at = excluded.due_at, seq = excluded.seq
where (lane.due_at, lane.seq) < (excluded.due_at, excluded.seq)
