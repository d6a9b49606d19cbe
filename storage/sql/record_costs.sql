-- What messages cost that another upstream took than was decided, or in more segments: $1 and $2 bound their ids; per
-- row $3 ids, $4 costs.
update message m set cost = u.cost
from unnest($3::bigint[], $4::bigint[]) as u(id, cost)
where m.id = u.id and m.id between $1 and $2
