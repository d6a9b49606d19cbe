-- Messages become final whose price goes back: $1 and $2 bound their ids; per row $3 ids, $4 states, $5 notices,
-- $6 errors, $7 whether it goes back even if an operator has taken any of it; $8 done_at.
-- A message that is final already stays as it is, so no price goes back twice. Returns the balances that grew, and in
-- each row, of which there is at least one, how many messages changed. Balances are locked last, in the order of accounts.
with ended as (
    update message m
    set state = u.state, notice = u.notice, error = u.error, done_at = $8,
        charge = case
            when m.charge > 0 and (u.always or not exists (select from segment s where s.message_id = m.id)) then -1
            else m.charge
        end
    from unnest($3::bigint[], $4::smallint[], $5::smallint[], $6::bigint[], $7::boolean[])
        as u(id, state, notice, error, always)
    where m.id = u.id and m.id between $1 and $2 and m.state = 1
    returning m.account, m.price, m.charge
),
amounts as (
    select account, sum(price)::bigint as amount from ended where charge < 0 group by account
),
locked as (
    select c.account, a.amount from amounts a join credit c on c.account = a.account
    order by c.account collate "C" for update of c
),
given_back as (
    update credit c set balance = c.balance + l.amount
    from locked l
    where c.account = l.account
    returning c.account, c.balance
)
select counted.changed, g.account, g.balance
from (select count(*) as changed from ended) as counted left join given_back g on true
