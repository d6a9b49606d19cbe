-- Finds what still waits by what an ESME calls it: the addresses, in cancel_sm and for replace_if_present_flag.
alter table waiting add column search bigint not null default 0;  -- storage.amendments.search_key; 0 not to be found
create index waiting_search on waiting (search, message_id) where search <> 0;
