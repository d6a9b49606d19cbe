-- The MT messages of an account that go by a message_id: $1 the id, $2 account. Several share the one of a submit_multi,
-- all of about the same time: $3 their ids are below.
select m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu, m.notice, m.state, m.error, m.done_at,
       m.repeated, m.segments, m.reference, m.shown_id
from message m
where m.id = $1 and m.account = $2 and m.kind = 0
union all
select m.id, m.kind, m.account, m.upstream, m.route, m.priority, m.expires_at, m.pdu, m.notice, m.state, m.error, m.done_at,
       m.repeated, m.segments, m.reference, m.shown_id
from message m
where m.shown_id = $1 and m.shown_id <> 0 and m.id > $1 and m.id < $3 and m.account = $2 and m.kind = 0
