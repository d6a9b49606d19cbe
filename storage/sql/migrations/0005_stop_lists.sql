-- Numbers and prefixes that get no messages. Who keeps lists in memory learns by the versions what has changed.
create table stop_list (
    id integer generated always as identity primary key,
    name text not null unique,
    version bigint not null               -- of its latest change; the row is locked by whoever changes the list
);

-- When, why and by whom entries were put on a list, or taken off it.
create table stop_mark (
    id integer generated always as identity primary key,
    since bigint not null,                -- Unix milliseconds, as is until
    until bigint not null default 0,      -- 0 for good
    note text not null,
    who text not null
);
create index stop_mark_until on stop_mark (until) where until <> 0;

create table stop_entry (
    list integer not null,                -- stop_list.id
    prefix boolean not null,
    number bigint not null,               -- the digits, which do not begin with 0
    mark integer not null,                -- stop_mark.id
    version bigint not null,              -- of the list, when this entry last changed
    removed boolean not null default false,  -- kept for a while, so that other nodes see that it is gone
    primary key (list, prefix, number)
);
create index stop_entry_version on stop_entry (list, version);
create index stop_entry_mark on stop_entry (mark);
create index stop_entry_removed on stop_entry (mark) where removed;
