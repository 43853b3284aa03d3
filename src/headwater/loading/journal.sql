-- What the loading engine remembers of each warehouse. Rows and cursor are the warehouse's own; see journal.py.

create table if not exists runs (
    id integer primary key,
    warehouse_id text not null,
    status text not null,
    started_at text not null,
    duration_ms integer not null,
    first integer not null,
    next integer not null,
    events integer not null,
    rows text not null, -- JSON: by schema.table
    notices text not null, -- JSON
    error text not null,
    filtered integer not null default 0,
    missed integer not null default 0,
    reload text not null default '',
    suppressed integer not null default 0
);
create index if not exists runs_of_warehouse on runs (warehouse_id, id);

create table if not exists totals (
    warehouse_id text primary key,
    events integer not null,
    rows integer not null,
    filtered integer not null,
    missed integer not null default 0,
    suppressed integer not null default 0
);

-- Where the line of new events stands.
create table if not exists standings (
    warehouse_id text primary key,
    since integer not null, -- where counting began
    counted integer not null, -- events, filtered, suppressed and missed since then
    position integer not null, -- what is passed, with stretches that brought no row
    committed integer not null, -- where the warehouse itself stood then
    plan text not null default '', -- JSON: the batch that is on its way, "" for none
    synced_at text not null default '',
    failures integer not null default 0, -- in a row
    failing_since text not null default ''
);

-- What is not loaded, and from which sequence on.
create table if not exists left_out (
    warehouse_id text not null,
    source_id text not null,
    collection text not null, -- "" for the whole source
    property text not null, -- "" for the whole collection
    first integer not null,
    primary key (warehouse_id, source_id, collection, property)
);

create table if not exists reloads (
    number integer primary key,
    id text not null unique,
    warehouse_id text not null,
    source_ids text, -- JSON; null for all that are connected
    collections text, -- JSON; null for all
    since text, -- received at or after; null for no bound
    until text, -- received before
    reason text not null,
    first integer not null,
    next integer not null,
    position integer not null,
    state text not null,
    events integer not null default 0,
    rows integer not null default 0,
    spent_ms integer not null default 0,
    started_at text,
    finished_at text,
    error text not null default '',
    unfinished integer not null default 0 -- 1: ended before its time, and the warehouse has its rows aside
);
create index if not exists reloads_of_warehouse on reloads (warehouse_id, state);

create table if not exists days (
    warehouse_id text not null,
    day text not null, -- UTC
    events integer not null default 0,
    failed integer not null default 0,
    primary key (warehouse_id, day)
);
create table if not exists day_tables (
    warehouse_id text not null,
    day text not null,
    name text not null, -- schema.table
    rows integer not null,
    primary key (warehouse_id, day, name)
);

create table if not exists misfits (
    warehouse_id text not null,
    schema text not null,
    name text not null,
    column_name text not null,
    label text not null,
    type text not null,
    rows integer not null,
    first_at text not null,
    last_at text not null,
    widened integer not null,
    primary key (warehouse_id, schema, name, column_name, label)
);
