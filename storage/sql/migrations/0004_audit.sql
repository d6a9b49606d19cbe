-- What people change by hand, and what they have switched off.
create table audit (
    seq bigint generated always as identity primary key,
    at bigint not null default floor(extract(epoch from clock_timestamp()) * 1000),  -- Unix milliseconds
    who text not null,
    what text not null,                   -- the change in a few words, such as 'upstream mts off'
    details text not null                 -- a note, values before and after; never a secret
);

-- Upstreams and routes that are switched off by hand; without a row they are on.
create table switch (
    kind text not null,                   -- 'upstream' or 'route'
    name text not null,
    at bigint not null default floor(extract(epoch from clock_timestamp()) * 1000),
    who text not null,
    note text not null,
    primary key (kind, name)
);
