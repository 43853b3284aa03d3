"""Files: events as NDJSON or Parquet in folders by date, on this machine's disk or in S3-compatible storage.

A file is named by what it holds and appears whole or not at all: a batch that is repeated after a crash overwrites its
own file.

Source: AWS, Signature Version 4; Amazon S3 API, PutObject; Apache Hive's layout of partitions (`name=value` folders).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Literal

from headwater.destinations.contract import (
    Answer,
    Card,
    Delivered,
    Discarded,
    Outcome,
    Retry,
    Room,
    Rule,
    Unauthorized,
    outcome_of,
    setting,
)
from headwater.destinations.files import s3
from headwater.destinations.files.formats import COLUMNS, FORMATS
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError
from headwater.spec.conventions import happened_at, text
from headwater.spec.event import Event

CARD = Card(
    name="Files",
    description="Writes events to files, NDJSON or Parquet, on disk or in S3-compatible storage.",
    categories=("Raw data", "Storage"),
    concurrency=1,
    api="https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html",
    mapping=(
        Rule("all calls", "the whole event", "NDJSON: a line", "as it is stored"),
        *(
            Rule("all calls", source, f"Parquet: column `{name}` ({kind})", "the source in Headwater" * (not source))
            for name, kind, source in COLUMNS
        ),
    ),
    notes=(
        (
            "A file's name is the first and last position in the log and a hash of the ids in it, so a batch that is "
            "written again after a crash replaces its own file. One that was composed differently meanwhile, and a "
            "replay, make "
            "further files: read distinct by source and `messageId`."
        ),
        (
            "On disk a file is written beside its place, synced and renamed; in a bucket it appears when it is "
            "complete. Readers never see half a file, and names that begin with a dot are not for them."
        ),
        (
            "The path is a template: `date={date}/hour={hour}` by when an event happened, in UTC; `{source}`, "
            "`{type}` and `{event}` are possible too. Each folder of a batch gets a file of its own: the fewer, the "
            "larger."
        ),
        (
            "A file holds what was waiting, up to 5,000 events, so a quiet source makes many small ones. Put them "
            "together once a day, such as by DuckDB: `COPY (SELECT DISTINCT ON (source_id, message_id) * FROM "
            "'date=2026-05-04/**/"
            "*.parquet') TO 'day.parquet'`."
        ),
        "Headwater's own directory is `state/destinations/ID` of its data; HEADWATER_FILES_DIRS allows others.",
        (
            "In a bucket the keys need s3:PutObject, and s3:ListBucket for the check. A refused key, or a bucket that "
            "is not there, pauses the connection."
        ),
    ),
)

_PLACE: Final = re.compile(r"\{(\w+)\}")
_PLACES: Final = frozenset({"date", "hour", "source", "type", "event"})
_FOREIGN: Final = re.compile(r"[^\w.=+-]", re.ASCII)
_FIXED: Final = re.compile(r"[A-Za-z0-9._=+/-]*")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION: Final = re.compile(r"[a-z0-9-]{1,40}")
_PART_CHARS_MAX: Final = 100  # ours: a folder's name
_FOLDERS_MAX: Final = 50  # ours: files that one batch may make; more events wait for the next
_CLOCK_SKEWED: Final = b"RequestTimeTooSkewed"
# Amazon S3 API, Error responses: of the upload, not of keys or bucket
_PASSING: Final = (b"<Code>RequestTimeout<", b"<Code>IncompleteBody<", b"<Code>BadDigest<", b"<Code>OperationAborted<")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    store: Literal["disk", "s3"] = field(metadata=setting("Where", "disk, or s3 for S3-compatible storage."))
    format: Literal["ndjson.gz", "ndjson", "parquet"] = field(
        default="ndjson.gz", metadata=setting("Format", "ndjson.gz, ndjson or parquet.", required=False)
    )
    path: str = field(
        default="date={date}/hour={hour}",
        metadata=setting(
            "Folders", "A template; {date}, {hour}, {source}, {type} and {event} are possible.", required=False
        ),
    )
    directory: str = field(
        default="",
        metadata=setting(
            "Directory", "On disk: one that the operator allows; empty is Headwater's own.", required=False
        ),
    )
    endpoint: str = field(
        default="",
        metadata=setting(
            "Endpoint", "In S3: https://HOST of the storage; empty is Amazon's for the region.", required=False
        ),
    )
    region: str = field(default="us-east-1", metadata=setting("Region", "In S3: the bucket's.", required=False))
    bucket: str = field(default="", metadata=setting("Bucket", "In S3: its name.", required=False))
    prefix: str = field(default="", metadata=setting("Prefix", "In S3: what each key begins with.", required=False))
    access_key: str = field(default="", metadata=setting("Access key ID", "In S3.", required=False))
    secret_key: str = field(
        default="", repr=False, metadata=setting("Secret access key", "In S3.", secret=True, required=False)
    )


class Destination:
    """Writes one file for each folder that a batch's events fall into."""

    batch_max: ClassVar[int] = 5_000

    def __init__(self, settings: Settings, room: Room) -> None:
        _check_template(settings.path)
        self._settings, self._room = settings, room
        self._bucket = _bucket(settings) if settings.store == "s3" else None
        self._home = _directory(settings.directory, room)

    async def check(self) -> None:
        """Look at the bucket, or try to write into the directory; leaves nothing there.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: why it does not work.
        """
        if self._bucket is None:
            try:
                await asyncio.to_thread(written, self._home / ".headwater-check", b"")
                await asyncio.to_thread((self._home / ".headwater-check").unlink)
            except OSError as error:
                raise DeliveryError(f"The directory cannot be written ({error.strerror}).") from error
            return
        match meaning(await s3.head(self._room.http, self._bucket, self._room.clock)):
            case Unauthorized(reason):
                raise UnauthorizedError(f"{reason} Compare keys, bucket and region.")
            case Retry(reason):
                raise RetryableError(f"{reason} Try again later.")

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Write the events; those of one folder share a file and an outcome."""
        folders: dict[str, list[int]] = {}
        for place, event in enumerate(events):
            folders.setdefault(folder(self._settings.path, event), []).append(place)
        outcomes: list[Outcome] = [Retry("The batch fell into too many folders.", after_s=0)] * len(events)
        for name, places in list(folders.items())[:_FOLDERS_MAX]:
            outcome = await self._store(name, [events[place] for place in places])
            for place in places:
                outcomes[place] = outcome
        return outcomes

    async def _store(self, within: str, events: Sequence[Event]) -> Outcome:
        ending, encode = FORMATS[self._settings.format]
        path = f"{within}/{stem(events)}.{ending}".lstrip("/")
        try:
            content = await asyncio.to_thread(encode, events)
            if self._bucket is None:
                await asyncio.to_thread(written, self._home / path, content)
                return Delivered()
            key = "/".join(part for part in (self._settings.prefix.strip("/"), path) if part)
            return meaning(await s3.put(self._room.http, self._bucket, key, content, self._room.clock))
        except OSError as error:
            return Retry(f"The file cannot be written ({error.strerror}).")
        except RetryableError as error:  # other folders may be written already
            return Retry(str(error), after_s=error.after_s)


def stem(events: Sequence[Event]) -> str:
    """Return a file's name without ending: the same for the same events, another for any others."""
    ids = hashlib.sha256("\0".join(f"{each.source_id}\0{each.message_id}" for each in events).encode())
    seqs = [event.seq for event in events]
    return f"{min(seqs):012d}-{max(seqs):012d}-{ids.hexdigest()[:16]}"


def folder(template: str, event: Event) -> str:
    """Return the folder of an event, "" for none; a value never makes a further level."""
    at = happened_at(event.body)
    found = {
        "date": f"{at:%Y-%m-%d}",
        "hour": f"{at:%H}",
        "source": event.source_id,
        "type": event.type,
        "event": text(event.body, "event", "name", "type"),
    }
    return _PLACE.sub(lambda place: _cleaned(found[place[1]]), template).strip("/")


def _cleaned(value: str) -> str:
    kept = _FOREIGN.sub("_", value)[:_PART_CHARS_MAX]
    return "_" + kept[1:] if kept[:1] in {"", "."} else kept


def written(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, and is still there after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def meaning(answer: Answer) -> Outcome:
    """Return what storage's answer means for a file: no event is at fault, so none is given up for it."""
    reason = f"The storage answered HTTP {answer.status}."
    match outcome_of(answer):
        case Retry(after_s=after_s, answer=said):
            return Retry(reason, answer.status, after_s, said)
        case _ if _CLOCK_SKEWED in answer.body:
            return Retry(f"{reason} This machine's clock is wrong; correct it.", answer.status)
        case Discarded(answer=said) if any(code in answer.body for code in _PASSING):
            return Retry(reason, answer.status, answer=said)
        case Unauthorized(answer=said) | Discarded(answer=said):
            return Unauthorized(f"{reason} The keys, the bucket or the region are refused.", answer.status, said)
        case outcome:
            return outcome


def _check_template(template: str) -> None:
    unknown = {name for name in _PLACE.findall(template) if name not in _PLACES}
    fixed = _PLACE.sub("x", template)
    if unknown or not _FIXED.fullmatch(fixed) or any(part.startswith(".") for part in fixed.split("/")):
        raise ConfigError(
            "Folders are letters, digits, `-_.=+/` and the places {date}, {hour}, {source}, {type} and {event}, such "
            "as `date={date}/hour={hour}`; none begins with a dot."
        )


def _bucket(settings: Settings) -> s3.Bucket:
    if not settings.access_key or not settings.secret_key:
        raise ConfigError("S3-compatible storage needs an access key ID and a secret access key.")
    if not _BUCKET.fullmatch(settings.bucket) or not _REGION.fullmatch(settings.region):
        raise ConfigError(
            "The bucket is 3 to 63 small letters, digits, dots and hyphens; the region is one of Amazon's."
        )
    endpoint = settings.endpoint or f"https://s3.{settings.region}.amazonaws.com"
    if not re.fullmatch(r"https?://[^/?#@\s]+/?", endpoint):
        raise ConfigError("The endpoint is https:// and a host, without a path.")
    if not _FIXED.fullmatch(settings.prefix) or any(part.startswith(".") for part in settings.prefix.split("/")):
        raise ConfigError("The prefix is letters, digits and `-_.=+/`; no part of it begins with a dot.")
    return s3.Bucket(endpoint, settings.region, settings.bucket, settings.access_key, settings.secret_key)


def _directory(wanted: str, room: Room) -> Path:
    """Return where files go: inside one of the directories that the operator allows, links followed."""
    if not wanted:
        return room.home
    path = Path(wanted)
    if path.is_absolute():
        actual = path.resolve()
        if any(actual.is_relative_to(allowed.resolve()) for allowed in room.directories):
            return actual
    raise ConfigError("The directory is not allowed; the operator lists directories in HEADWATER_FILES_DIRS.")
