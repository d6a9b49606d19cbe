-- $1 node; per row $2 outboxes, $3 priorities, $4 due_at, $5 expires_at, $6 accounts, $7 message ids, $8 attempts,
-- $9 search keys.
insert into waiting (node, outbox, priority, due_at, expires_at, account, message_id, attempts, search)
select $1, u.*
from unnest($2::text[], $3::smallint[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::smallint[], $9::bigint[])
    as u
