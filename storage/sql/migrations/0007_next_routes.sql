-- Messages that another upstream gets when one has not delivered them.
alter table message
    add column next_upstream text not null default '';  -- which one has it now by `on_failure` of its route; '' = none yet

-- Messages whose receipt is waited for so long, and no longer, before another upstream gets them.
create table receipt_due (
    message_id bigint primary key,
    node smallint not null,
    upstream text not null,               -- which one has taken it
    due_at bigint not null                -- Unix milliseconds
);
create index receipt_due_at on receipt_due (node, due_at);
