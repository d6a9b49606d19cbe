-- Messages whose time ran out while they waited outside memory: $1 node, $2 now, $3 at most.
select w.outbox, w.priority as lane, m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu, m.notice,
       m.state, m.error, m.done_at, m.repeated
from waiting w join message m on m.id = w.message_id
where w.expires_at <= $2 and w.node = $1
order by w.expires_at
limit $3
