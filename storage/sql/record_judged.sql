-- What was decided about parts that were accepted before: $1 ids, $2 and $3 bound them; per id $4 routes, $5 upstreams,
-- $6 priorities, $7 countries, $8 operators, $9 categories, $10 prices, $11 costs, $12 decisions, $13 charges. Returns those that
-- are not final.
update message m
set route = u.route, upstream = u.upstream, priority = u.priority, country = u.country, operator = u.operator,
    category = u.category, price = u.price, cost = u.cost, decision = u.decision,
    charge = u.charge
from unnest($1::bigint[], $4::text[], $5::text[], $6::smallint[], $7::text[], $8::text[], $9::text[], $10::bigint[],
            $11::bigint[], $12::text[], $13::smallint[])
    as u (id, route, upstream, priority, country, operator, category, price, cost, decision, charge)
where m.id = u.id and m.id between $2 and $3 and m.state = 1
returning m.id
