-- Messages wait on disk, in the order of the arrays; the entries that they had before are replaced. $1 nodes, $2 outboxes,
-- $3 priorities, $4 due_at, $5 expires_at, $6 accounts, $7 message ids, $8 attempts, $9 search.
-- One statement: each further one would wait for a turn of a busy client, and all outboxes with it.
with replaced as (
    delete from waiting where message_id = any($7::bigint[])
)
insert into waiting (node, outbox, priority, due_at, expires_at, account, message_id, attempts, search)
select node, outbox, priority, due_at, expires_at, account, message_id, attempts, search
from unnest($1::smallint[], $2::text[], $3::smallint[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[],
            $8::smallint[], $9::bigint[])
         with ordinality as e(node, outbox, priority, due_at, expires_at, account, message_id, attempts, search, place)
order by place
