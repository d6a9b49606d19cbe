-- A queued message becomes another one of the same id: $1 id, $2 pdu, $3 priority, $4 route, $5 expires_at, $6 notice,
-- $7 segments, $8 reference. One that is final stays as it is. A segment is worth what it was when the message was
-- accepted: returns what the account pays more, and whether it was charged at all.
with before as (
    select id, price, cost, segments from message where id = $1 and state = 1 for update
)
update message m
set pdu = $2, priority = $3, route = $4, expires_at = $5, notice = $6, segments = $7::smallint, reference = $8,
    price = b.price * $7::smallint / b.segments, cost = b.cost * $7::smallint / b.segments
from before b
where m.id = b.id
returning m.id, m.account, m.price - b.price as more, m.charge, m.price, m.cost
