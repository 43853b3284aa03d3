-- What delivery has to remember. Rows stand only for what is not finished; everything else is a cursor and counters.

create table if not exists connection (
  id text primary key,
  paused_reason text,             -- null: not paused
  paused_at real,
  paused_revision text,           -- settings that were refused
  last_error text,
  last_error_at real,
  last_delivered_at real,
  overtaken integer not null default 0  -- retried events that a later one of the same user went before
) without rowid;

-- A stretch of the log on its way to one connection: the live one has no end; a backlog, which the live one jumped
-- over, and a replay have.
create table if not exists lane (
  id integer primary key,
  connection text not null,
  source text not null,
  kind text not null check (kind in ('live', 'backlog', 'replay')),
  first integer not null,         -- where it began
  cursor integer not null,
  until integer,                  -- not live: the first sequence that is not read any more
  selection text,                 -- replay: JSON of what is sent again
  started_at real not null,
  finished_at real,               -- not live: when its last event was read
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
  who text not null default '',   -- the user, where the destination needs each user's events in order
  unique (lane, seq)
);
create index if not exists waiting_due on waiting (connection, due_at);
create index if not exists waiting_who on waiting (connection, who, lane, seq) where who <> '';

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

-- Dead letters that were older than the retention; with their lane's other counters they make up what was read.
create table if not exists expired (
  lane integer primary key references lane (id),
  count integer not null
);
create index if not exists dead_lane on dead (lane);

-- What a replay has besides its lane.
create table if not exists replay (
  lane integer primary key references lane (id),
  rate_per_s real not null,
  begun_at real,                  -- when it was taken up last, epoch seconds; null: waits for its turn
  begun integer                   -- its cursor then
);

drop table if exists latency;      -- an older table; `series` has latencies now

-- What happened to a connection's events, by minute, hour and day.
create table if not exists series (
  connection text not null,
  span integer not null,          -- seconds
  at integer not null,            -- epoch seconds, where the span begins
  what text not null,
  detail text not null,
  count integer not null,
  primary key (connection, span, at, what, detail)
) without rowid;
