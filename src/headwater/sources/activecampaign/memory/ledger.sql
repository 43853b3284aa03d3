create table if not exists sources (
    id integer primary key,
    source_id text not null unique,
    arrived integer not null default 0,
    seq integer not null default -1,
    last_event text,
    last_at text,
    last_received_at text,
    last_origin text
) strict;
create table if not exists tellings (
    source integer not null,
    campaign text not null,
    kind integer not null,
    person text not null,
    at_s integer not null,
    link text not null,
    id blob not null,
    slack_s integer not null,
    origin integer not null,
    flags integer not null,
    body blob not null,
    primary key (source, campaign, kind, person, at_s, link, id)
) strict, without rowid;
create table if not exists counts (
    source integer not null,
    campaign text not null,
    kind integer not null,
    persons integer not null,
    links integer not null,
    total integer not null,
    primary key (source, campaign, kind)
) strict, without rowid;
create table if not exists lost (
    source integer primary key,
    until_s real not null
) strict;
create table if not exists held (
    source integer not null,
    campaign text not null,
    person text not null,
    id blob not null,
    due_s real not null,
    draft blob not null,
    primary key (source, campaign, person, id)
) strict, without rowid;
create index if not exists held_due on held (source, due_s);
