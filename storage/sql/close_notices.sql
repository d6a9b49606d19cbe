-- Receipts are done with: $1 ids, $2 and $3 bound them; $4 notice. Those in $5 leave outboxes whose names begin with $6.
-- One statement: each further one would wait for a turn of a busy client, and windows with it.
with departed as (
    delete from waiting where message_id = any($5::bigint[]) and starts_with(outbox, $6)
)
update message set notice = $4 where id = any($1::bigint[]) and id between $2 and $3
