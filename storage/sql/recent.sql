-- A page of the messages that accounts $3 submitted, above $1 and up to $2, at most $4, oldest first. Without those whose
-- ESME was told ESME_RSYSERR (8), as their commit was in doubt: they end as REJECTED (8), and no receipt says so.
select id, account, category, pdu
from message
where id > $1 and id <= $2 and kind = 0 and account = any($3::text[])
  and not (state = 8 and error = 8 and notice = 0)
order by id
limit $4
