delete from waiting where message_id = any($1::bigint[])
