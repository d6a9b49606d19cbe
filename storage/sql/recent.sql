-- A page of the messages that accounts $3 submitted, above $1 and up to $2, at most $4, oldest first. Without those that
-- were given back to whoever remembers messages: those whose ESME was told ESME_RSYSERR (8), as their commit was in
-- doubt, which end as REJECTED (8) without a receipt; and those that the policy or a route stopped after they were
-- accepted, which end as REJECTED without ever having had an upstream. What is held has no route yet.
select id, account, category, pdu, asked, state = 1 and upstream = '' and route = '' as held
from message
where id > $1 and id <= $2 and kind = 0 and account = any($3::text[])
  and not (state = 8 and error = 8 and notice = 0)
  and not (upstream = '' and (state = 8 or route = 'policy'))
order by id
limit $4
