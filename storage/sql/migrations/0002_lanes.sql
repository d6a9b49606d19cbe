-- How far each lane of an upstream has been read from disk: what is not behind that place may have been submitted.
create table lane (
    node smallint not null,
    outbox text collate "C" not null,
    priority smallint not null,
    due_at bigint not null,
    seq bigint not null,
    primary key (node, outbox, priority)
);
