-- A page of the messages that went to upstreams and may be parts that their ESMEs made, above $1 and below $2, at most $3,
-- newest first: their octets have what a header or TLVs of concatenation begin with. Others may have that, too.
select id, account, upstream, route, priority, category, pdu, asked
from message
where id > $1 and id < $2 and kind = 0 and upstream <> '' and route not in ('', 'policy')
  and (position('\x0003'::bytea in pdu) > 0 or position('\x0804'::bytea in pdu) > 0
       or position('\x020c0002'::bytea in pdu) > 0)
  and not (state = 8 and error = 8 and notice = 0)
order by id desc
limit $3
