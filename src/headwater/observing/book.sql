create table if not exists places (name text primary key, cursor integer not null);
create table if not exists collections (
  source_id text, kind text, name text, count integer not null, first_seen text not null, last_seen text not null,
  archived integer not null default 0, primary key (source_id, kind, name)) without rowid;
create table if not exists fields (
  source_id text, kind text, name text, field text, count integer not null, omitted integer not null default 0,
  types text not null, first_seen text not null, last_seen text not null,
  primary key (source_id, kind, name, field)) without rowid;
create table if not exists more (
  source_id text, kind text, name text, count integer not null, primary key (source_id, kind, name)) without rowid;
create table if not exists days (
  source_id text, day text, kind text, name text, code text, count integer not null,
  primary key (source_id, day, kind, name, code)) without rowid;
create table if not exists minutes (
  source_id text, minute integer, code text, count integer not null,
  primary key (source_id, minute, code)) without rowid;
create table if not exists violations (
  source_id text, day text, kind text, name text, field text, type text, description text not null,
  count integer not null, seq integer not null, last_at text not null,
  primary key (source_id, day, kind, name, field, type)) without rowid;
