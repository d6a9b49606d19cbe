-- The two tables that carry the traffic (architecture.md section 4), partitioned by id, which is a span of time.
create table message (
    id bigint not null,
    kind smallint not null,               -- domain.message.Kind: 0 MT, 1 MO
    account text not null,
    upstream text not null,               -- MT: where it goes (as decided first); MO: where it came from
    route text not null,
    source_addr text not null,
    destination_addr text not null,
    priority smallint not null,
    expires_at bigint not null,           -- Unix milliseconds, as is done_at
    pdu bytea not null,                   -- the initiator's PDU as received
    notice smallint not null,             -- domain.message.Notice: how far its receipt has come
    state smallint not null default 1,    -- message_state, SMPP 3.4 section 5.2.28; 1 is not final
    error bigint not null default 0,      -- network_error_code or command_status behind the outcome
    done_at bigint not null default 0,
    repeated boolean not null default false,  -- may have reached the operator more than once
    primary key (id)
) partition by range (id);

create table segment (
    upstream text collate "C" not null,
    upstream_message_id text collate "C" not null,
    message_id bigint not null,
    part smallint not null default 1,
    primary key (upstream, upstream_message_id, message_id, part)
) partition by range (message_id);

-- Segments come nearly in the order of their messages: finds those of one message, or of a span, at no cost to inserts.
create index segment_message on segment using brin (message_id) with (pages_per_range = 16);

-- What waits in an outbox but not in memory: beyond its bound, or not due yet. A row stays until its message has left.
create table waiting (
    seq bigint generated always as identity,
    node smallint not null,
    outbox text collate "C" not null,     -- 'upstream NAME' or 'account NAME'
    priority smallint not null,
    due_at bigint not null,
    expires_at bigint not null,
    account text not null,
    message_id bigint not null,
    attempts smallint not null default 0, -- so that a back-off goes on where it was
    primary key (node, outbox, priority, due_at, seq)
);
create index waiting_message on waiting (message_id);
create index waiting_expiry on waiting (node, expires_at, message_id);

-- How far each lane of an upstream has been read from disk: what is not behind that place may have been submitted.
create table lane (
    node smallint not null,
    outbox text collate "C" not null,
    priority smallint not null,
    due_at bigint not null,
    seq bigint not null,
    primary key (node, outbox, priority)
);

-- Receipts that came before the response which would tell their message.
create table parked_receipt (
    seq bigint generated always as identity primary key,
    upstream text not null,
    upstream_message_id text not null,
    received_at bigint not null,
    state smallint not null,
    error bigint not null
);
create index parked_receipt_id on parked_receipt (upstream, upstream_message_id);
create index parked_receipt_age on parked_receipt (received_at);

-- One row a node: rows of messages below low_water need no look after a restart.
create table node (
    node smallint primary key,
    low_water bigint not null default 0
);

-- What the ledger counts of partitions that were dropped.
create table dropped (
    kind smallint not null,
    state smallint not null,
    notice smallint not null,
    messages bigint not null,
    primary key (kind, state, notice)
);
