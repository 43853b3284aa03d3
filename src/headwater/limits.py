"""Each bound once, with its unit and its origin. Reaching one is an error or back-pressure, never a drop."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * 1024

# Tracking API
EVENT_BYTES_MAX: Final = 32 * KIB  # Segment HTTP API
BATCH_BYTES_MAX: Final = 500 * KIB  # Segment HTTP API; counted after decompression
REQUEST_BYTES_MAX: Final = 1 * MIB  # a Content-Length above it is refused before a byte is read
MESSAGE_ID_CHARS_MAX: Final = 100  # Segment common fields
USER_ID_CHARS_MAX: Final = 512  # ours: bounds the index of persons
EVENT_DEPTH_MAX: Final = 64  # ours: levels of nesting inside one event
PROPERTIES_MAX: Final = 10_000  # Segment rate limits: further properties are dropped
PIXEL_QUERY_BYTES_MAX: Final = 16 * KIB  # ours: browsers and proxies cut URLs earlier

# HTTP server
HEADER_BYTES_MAX: Final = 16 * KIB  # ours: the whole header block
HEADERS_MAX: Final = 100  # ours
HEADER_DEADLINE_S: Final = 10.0  # ours: from the first byte to the last header
BODY_DEADLINE_S: Final = 30.0  # ours: from the headers to the last byte
IDLE_DEADLINE_S: Final = 15.0  # ours: keep-alive without a request
BODY_BYTES_PER_S_MIN: Final = 1_024  # ours: a body that comes slower is given up
BODY_GRACE_S: Final = 5.0  # ours: before a body's speed is judged
READ_DEADLINE_S: Final = 60.0  # ours: a peer that takes nothing of its answer
LINGER_DEADLINE_S: Final = 2.0  # ours: between our last byte and the end of a refused connection
LINGER_BYTES_MAX: Final = 2 * MIB  # ours: swallowed meanwhile, so that the refusal is read
SWEEP_S: Final = 0.5  # ours: how often deadlines are looked at
CONNECTIONS_MAX: Final = 4_096  # ours

# ActiveCampaign webhooks
WEBHOOK_BYTES_MAX: Final = 1 * MIB  # ours: far above any body that was seen
WEBHOOK_PAIRS_MAX: Final = 5_000  # ours: form members that are parsed; the rest stays in the raw body
WEBHOOK_EVENT_BYTES_MAX: Final = 256 * KIB  # ours: an event mapped from a webhook; a larger one is quarantined
WEBHOOK_DEPTH_MAX: Final = 32  # ours: bracket levels that are parsed

# Event log
APPEND_QUEUE_BYTES_MAX: Final = 64 * MIB  # ours: waiting for the disk; above it 429
APPEND_GROUP_BYTES_MAX: Final = 8 * MIB  # ours: one commit
SEGMENT_BYTES_MAX: Final = 64 * MIB  # ours: a segment is the unit of retention and of repair
DISK_FREE_BYTES_MIN: Final = 512 * MIB  # ours: below it the Tracking API answers 503
DISK_RESERVED_BYTES: Final = 64 * MIB  # ours: the last space, kept for ActiveCampaign's webhooks

# Delivery
ATTEMPT_DEADLINE_S: Final = 15.0  # ours: one call to a destination, connect to last byte
CONNECT_DEADLINE_S: Final = 5.0  # ours
ANSWER_BYTES_MAX: Final = 64 * KIB  # ours: what is read of a destination's answer
ACCOUNT_ANSWER_BYTES_MAX: Final = 64 * MIB  # ours: of an account's answer; a report may come as one page
ACCOUNT_DEADLINE_S: Final = 60.0  # ours: one call to an account; a report of a large campaign takes its time
RETRY_FOR_S: Final = 72 * 3600  # ours; Segment gives up after 4 hours
RETRY_AFTER_S_MAX: Final = 3600  # ours: a destination may not ask for more

# Warehouse
IDENTIFIER_BYTES_MAX: Final = 63  # PostgreSQL, the shortest of the engines
TABLES_MAX: Final = 1_000  # ours, a schema; more go to an overflow table
COLUMNS_MAX: Final = 400  # ours, a table; more go to an overflow column

# Queries
QUERY_ROWS_MAX: Final = 10_000
QUERY_SECONDS_MAX: Final = 30.0
QUERY_EXPORT_SECONDS_MAX: Final = 300.0  # ours: a file of millions of rows
