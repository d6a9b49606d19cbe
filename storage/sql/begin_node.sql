-- A node begins anew: $1 node, $2 now, $3 version, $4 address. Whoever had the number before is fenced off from here on.
insert into node (node, epoch, beat, started_at, version, address) values ($1, 1, 0, $2, $3, $4)
on conflict (node) do update set
    epoch = node.epoch + 1, beat = node.beat + 1, taker = null, is_taken = false,
    started_at = excluded.started_at, version = excluded.version, address = excluded.address
returning epoch
