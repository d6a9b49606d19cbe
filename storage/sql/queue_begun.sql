-- Of which of these messages an operator has taken a segment: $1 ids, $2 and $3 bound them. All in one look at the index,
-- which leads to spans of rows: a look for each would read the newest rows each time, of which it knows nothing yet.
select distinct message_id from segment where message_id = any($1::bigint[]) and message_id between $2 and $3
