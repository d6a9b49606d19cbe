-- Prices leave balances that can bear them: $1 accounts, $2 amounts, $3 the lowest balance that each allows, null = any.
-- Balances that cannot stay as they are, and are not returned. All are locked, in the order of accounts as by all who
-- lock several, so that those which stay can be looked at more closely.
with asked as (
    select c.account, c.balance, t.amount, t.lowest
    from unnest($1::text[], $2::bigint[], $3::bigint[]) as t(account, amount, lowest)
    join credit c on c.account = t.account
    order by c.account collate "C"
    for update of c
)
update credit c set balance = c.balance - a.amount
from asked a
where c.account = a.account and (a.lowest is null or a.balance - a.amount >= a.lowest)
returning c.account, c.balance
