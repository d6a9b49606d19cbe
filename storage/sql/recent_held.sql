-- Of messages $1, those that are parts which wait for others, to be judged with them.
select id, account, pdu, asked
from message
where id = any($1::bigint[]) and kind = 0 and state = 1 and upstream = '' and route = ''
