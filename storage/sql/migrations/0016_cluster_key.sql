-- A secret that the nodes of a cluster have in common and Redis never sees: with it they make the hashes by which they
-- tell each other which messages they have accepted (routing.duplicates.SharedHash). Whoever needs it first makes it.
create table cluster_key (
    single boolean primary key default true check (single),
    key uuid not null default gen_random_uuid()
);
