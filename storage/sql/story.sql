-- One message whole: $1 its id.
select m.id, m.kind, m.account, m.upstream, m.route, m.source_addr, m.destination_addr, m.priority, m.expires_at,
       m.notice, m.state, m.error, m.done_at, m.repeated, m.segments, m.country, m.operator, m.category, m.price, m.cost,
       m.charge, m.decision, m.next_upstream, w.outbox as waits_in, w.due_at as waits_until
from message m left join waiting w on w.message_id = m.id
where m.id = $1
