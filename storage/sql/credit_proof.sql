-- Of each account with credit: its balance, what was entered by hand, what its messages were charged and did not get
-- back, dropped partitions included.
select c.account, c.balance, coalesce(e.amount, 0)::bigint as entered,
       (coalesce(m.amount, 0) + coalesce(d.amount, 0))::bigint as charged
from credit c
left join (select account, sum(amount) as amount from credit_entry group by account) as e using (account)
left join (select account, sum(price) as amount from message where charge > 0 group by account) as m using (account)
left join credit_spent d using (account)
order by c.account
