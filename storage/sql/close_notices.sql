-- Receipts are done with: $1 ids, $2 and $3 bound them; $4 notice.
update message set notice = $4 where id = any($1::bigint[]) and id between $2 and $3
