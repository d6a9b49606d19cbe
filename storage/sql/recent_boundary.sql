-- Where the newest $4 messages of accounts $3 begin, of those above $1 and up to $2: an id just below the first of them.
select coalesce(min(id), 1) - 1
from (
    select id from message
    where id > $1 and id <= $2 and kind = 0 and account = any($3::text[])
    order by id desc
    limit $4
) as newest
