-- Messages of several segments, and messages that share the message_id an ESME was given.
alter table message
    add column segments smallint not null default 1,   -- as counted when it was accepted; above 1 it may be split
    add column reference integer not null default 0,   -- of its segments on the wire, 16 bits
    add column shown_id bigint not null default 0;     -- the id that the ESME knows it by, where that is another one

create index message_shown on message (shown_id) where shown_id <> 0;

alter table segment add column parts smallint not null default 1;  -- into how many its message was split

-- What became of the segments of messages that are not final as long as others of theirs are not.
create table part_outcome (
    message_id bigint not null,
    part smallint not null,
    state smallint not null,
    error bigint not null,
    primary key (message_id, part)
) partition by range (message_id);
