-- Who lives: a process beats in the row of its node, as long as that has the epoch it began with (docs/decisions/0009).
alter table node
    add column epoch bigint not null default 0,    -- raised by each start, and by whoever takes the work over
    add column beat bigint not null default 0,     -- raised every second
    add column taker smallint,                     -- which node takes the work over, or has done so
    add column is_taken boolean not null default false,  -- all of it is taken over
    add column started_at bigint not null default 0,     -- Unix milliseconds
    add column version text not null default '',
    add column address text not null default '';   -- where its HTTP port is
