-- Lanes of outboxes are by priority and account, so that no account waits behind another one's queue.
-- min_version: 9
alter table waiting drop constraint waiting_pkey;
alter table waiting alter column account type text collate "C";
alter table waiting add primary key (node, outbox, priority, account, due_at, seq);

-- The keys are hashes: with a span of rows before them, those of new rows are neighbours of each other, which stay in the
-- cache however long the queue is. The look-up goes through the spans, of which there are few.
drop index waiting_search;
create index waiting_search on waiting ((seq >> 18), search, message_id) where search <> 0;

-- How far each lane of an upstream has been read from disk; `lane` has the same from before there were accounts in it.
create table lane_read (
    node smallint not null,
    outbox text collate "C" not null,
    priority smallint not null,
    account text collate "C" not null,
    due_at bigint not null,
    seq bigint not null,
    primary key (node, outbox, priority, account)
);
