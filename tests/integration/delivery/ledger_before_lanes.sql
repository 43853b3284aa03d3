-- What delivery has to remember. Rows stand only for what is not finished; everything else is a cursor and counters.

create table if not exists connection (
  id text primary key,
  paused_reason text,             -- null: not paused
  paused_at real,
  paused_revision text,           -- settings that were refused
  last_error text,
  last_error_at real,
  last_delivered_at real
) without rowid;

-- A stretch of the log on its way to one connection: the live one has no end, a replay has.
create table if not exists lane (
  id integer primary key,
  connection text not null,
  source text not null,
  kind text not null check (kind in ('live', 'replay')),
  first integer not null,         -- where it began
  cursor integer not null,
  until integer,                  -- replay: the first sequence that is not read any more
  selection text,                 -- replay: JSON of what is sent again
  started_at real not null,
  finished_at real,               -- replay: when its last event was read
  read integer not null default 0,
  delivered_first integer not null default 0,
  delivered_retry integer not null default 0,
  dropped integer not null default 0,  -- dead letters that a user discarded
  missed integer not null default 0    -- sequences, of any source, that could not be read any more
);
create unique index if not exists lane_live on lane (connection) where kind = 'live';

create table if not exists filtered (
  lane integer not null references lane (id),
  reason text not null,
  count integer not null,
  primary key (lane, reason)
) without rowid;

create table if not exists waiting (
  id integer primary key,
  connection text not null,
  lane integer not null references lane (id),
  seq integer not null,
  source text not null,
  line blob not null,
  attempts integer not null,
  first_at real,
  due_at real not null,
  reason text not null,
  status integer,
  unique (lane, seq)
);
create index if not exists waiting_due on waiting (connection, due_at);

create table if not exists dead (
  id integer primary key autoincrement,
  connection text not null,
  lane integer not null references lane (id),
  seq integer not null,
  source text not null,
  message_id text not null,
  type text not null,
  event text not null,
  line blob not null,
  attempts integer not null,
  first_at real not null,
  died_at real not null,
  reason text not null,
  status integer,
  answer text not null,
  request text not null
);
create index if not exists dead_connection on dead (connection, id);

create table if not exists latency (
  connection text not null,
  hour integer not null,          -- epoch hours
  bucket integer not null,
  count integer not null,
  primary key (connection, hour, bucket)
) without rowid;
