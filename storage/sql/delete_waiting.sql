-- Messages have left outboxes: $1 ids, $2 what the names of those outboxes begin with. A message that has left its
-- upstream's may wait in its account's already.
delete from waiting where message_id = any($1::bigint[]) and starts_with(outbox, $2)
