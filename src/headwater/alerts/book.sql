create table if not exists alerts (
  id integer primary key,
  workspace_id text not null,
  rule_id text not null,
  kind text not null,
  subject_id text not null,
  subject text not null,
  text text not null,
  step integer not null,
  began_at real not null,
  ended_at real
);
create unique index if not exists alerts_open on alerts (workspace_id, rule_id, subject_id) where ended_at is null;
create index if not exists alerts_of_workspace on alerts (workspace_id, id);
create table if not exists messages (
  id integer primary key,
  alert_id integer not null references alerts (id) on delete cascade,
  channel_id text not null,
  deed text not null,
  text text not null,
  attempts integer not null default 0,
  next_at real not null,
  sent_at real,
  error text not null default ''
);
create index if not exists messages_due on messages (next_at) where sent_at is null;
