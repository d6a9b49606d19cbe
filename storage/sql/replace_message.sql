-- A queued message becomes another one of the same id: $1 id, $2 pdu, $3 priority, $4 route, $5 expires_at, $6 notice,
-- $7 segments, $8 reference. One that is final stays as it is.
update message
set pdu = $2, priority = $3, route = $4, expires_at = $5, notice = $6, segments = $7, reference = $8
where id = $1 and state = 1
