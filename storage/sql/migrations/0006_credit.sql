-- What was known of a message when its way was decided, what it is worth, and the credit it is paid from. Amounts are
-- micro-units (millionths) of the account's currency; those of `cost` of the upstream's.
alter table message
    add column price bigint not null default 0,    -- of the whole message, for the account
    add column cost bigint not null default 0,     -- the same for us: of the upstream that took it, first of the one decided
    add column charge smallint not null default 0, -- domain.charges: 0 not charged, above charged, -1 given back
    add column country text not null default '',
    add column operator text not null default '',
    add column category text not null default '',
    add column decision text not null default '';  -- steps and route, in short

-- balance = sum of credit_entry - prices of messages with charge > 0 - credit_spent: `smsc ledger` proves it.
create table credit (
    account text primary key,
    balance bigint not null default 0
) with (fillfactor = 50);                          -- updated with every batch, in the page

-- Changes by hand.
create table credit_entry (
    seq bigint generated always as identity primary key,
    account text not null,
    at bigint not null default floor(extract(epoch from clock_timestamp()) * 1000),  -- Unix milliseconds
    amount bigint not null,
    who text not null,
    note text not null
);
create index credit_entry_account on credit_entry (account, seq);

-- What accounts were charged for messages whose partition was dropped.
create table credit_spent (
    account text primary key,
    amount bigint not null
);
