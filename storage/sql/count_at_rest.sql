-- How many messages of each account wait on disk for upstreams: $1 node; but not $2 messages, which memory holds. $3 at
-- most are counted.
select account, count(*) from (
    select account from waiting
    where node = $1 and outbox >= 'upstream ' and outbox < 'upstream!' and message_id <> all($2::bigint[])
    limit $3
) as at_rest
group by account
