-- Messages whose receipt has not come in time: $1 node, $2 now, $3 at most. Of those that are final only the id.
select d.message_id, d.upstream as sent_by, m.*
from (select message_id, upstream from receipt_due where node = $1 and due_at <= $2 order by due_at limit $3) as d
left join message m on m.id = d.message_id and m.state = 1
