-- Receipts are done with: $1 ids, $2 notices; $3 and $4 bound the ids.
update message m
set notice = u.notice
from unnest($1::bigint[], $2::smallint[]) as u(id, notice)
where m.id = u.id and m.id between $3 and $4
