"""A copy of the embedded warehouse in S3-compatible storage, for readers that cannot see the directory.

```
<prefix>/views.duckdb                       replaced by one request: what readers attach
<prefix>/<copy>/live|merged/<range>/<schema>/<table>.parquet
<prefix>/<copy>/markers/<schema>/<table>.<columns>.parquet
```

Storage has no rename of directories, so nothing is listed there: `views.duckdb` names every file that counts. Files go
first, then the views, then what no view names any more, after `parts.GRACE`: a reader always sees whole batches. What a
crash interrupts is made up by comparing what is there with what should be. `<copy>` is new for each directory, so that
a warehouse that was loaded anew from the log takes nothing of the former one for its own.

Imported only where a bucket is set: obstore and fsspec come with the extra `s3`.
"""

from __future__ import annotations

import hashlib
import io
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
from fsspec import AbstractFileSystem  # type: ignore[import-untyped]
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from headwater.clock import Clock
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.warehouses.contract import SEQ, Columns, Table, View
from headwater.warehouses.embedded import parts as rows_in_parts
from headwater.warehouses.embedded import views
from headwater.warehouses.embedded.layout import Layout, write_json
from headwater.warehouses.embedded.parts import Parts
from headwater.warehouses.embedded.settings import Settings

_VIEWS: Final = "views.duckdb"
_OURS: Final = re.compile(r"[0-9a-f]{16}/(live|merged|markers)/.+\.parquet")
_REFUSALS: Final = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")  # Amazon S3, errors
_AT_A_TIME: Final = 8  # requests; a batch has a file a table
_TIMEOUT_S: Final = 60  # a request
_RETRY_S: Final = 20  # the client's own tries, before the engine's


class Bucket:
    """Keeps the copy; used by one thread at a time."""

    def __init__(self, settings: Settings, layout: Layout, clock: Clock) -> None:
        self._settings, self._layout, self._clock = settings, layout, clock
        with _told():
            self._store = _store(settings)
        self._held: set[str] | None = None  # None: not known, ask for the list
        self._published: tuple[object, ...] = ()
        self._unnamed: dict[str, datetime] = {}

    def check(self) -> None:
        """Return when the bucket answers to these keys; change nothing.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: why it does not.
        """
        with _told():
            for _ in self._store.list(chunk_size=1):
                break

    def mirror(
        self, parts: Parts, tables: Mapping[Table, Columns], models: Sequence[View], *, at_once: bool = False
    ) -> None:
        """Make the copy hold what the directory shows; `at_once` lets no reader finish with what is gone."""
        with _told():
            wanted = self._wanted(parts, tables)
            held = self._listed()
            missing = sorted(wanted.keys() - held)
            with ThreadPoolExecutor(_AT_A_TIME) as pool:
                for key in pool.map(lambda key: self._put(key, wanted[key]), missing):
                    held.add(key)
            now_shown = (sorted(wanted), dict(tables), list(models))
            if now_shown != self._published:
                self._put(_VIEWS, self._views(wanted, tables, models))
                self._published = now_shown
            self._remove(held - wanted.keys(), at_once=at_once)

    def _wanted(self, parts: Parts, tables: Mapping[Table, Columns]) -> dict[str, Path]:
        """Return the file of each key."""
        copy = self._copy()
        wanted = {
            f"{copy}/{directory.parent.name}/{directory.name}/{file.parent.name}/{file.name}": file
            for directory in parts.directories()
            for file in directory.glob("*/*.parquet")
        }
        return wanted | {
            f"{copy}/markers/{table.schema}/{table.name}.{_digest(columns)}.parquet": self._layout.marker(table)
            for table, columns in tables.items()
        }

    def _copy(self) -> str:
        """Return the name of this directory's copy."""
        path = self._layout.root / "bucket.json"
        if not path.exists():
            write_json(path, self._layout.staging, {"copy": secrets.token_hex(8)})
        return str(msgspec.json.decode(path.read_bytes())["copy"])

    def _listed(self) -> set[str]:
        """Return the keys of ours that are there, whatever copy they belong to."""
        if self._held is None:
            found = (str(entry["path"]) for page in self._store.list() for entry in page)
            self._held = {key for key in found if _OURS.fullmatch(key)}
        return self._held

    def _put(self, key: str, file: Path) -> str:
        """Store a file whole under its key."""
        self._store.put(key, file)
        return key

    def _views(self, wanted: Mapping[str, Path], tables: Mapping[Table, Columns], models: Sequence[View]) -> Path:
        """Make the file of views over the keys."""
        keys: dict[Table, list[str]] = {}
        for key, file in wanted.items():
            schema = file.parent.name
            keys.setdefault(Table(schema, file.stem), []).append(self._url(key))
        markers = {table: self._layout.marker(table).read_bytes() for table in keys}
        staged = self._layout.staging / "bucket.duckdb"

        def scan(table: Table, columns: Columns) -> str:
            return f"(select {views.listed(columns)}, {SEQ} from {views.read(sorted(keys[table]))})"

        with duckdb.connect(config={"threads": 1}) as connection:
            connection.register_filesystem(_Markers({url: markers[table] for table in keys for url in keys[table]}))
            views.write(connection, staged, tables, scan, models)
        return staged

    def _url(self, key: str) -> str:
        """Return how DuckDB names an object."""
        return "/".join(part for part in ("s3:/", self._settings.bucket, self._settings.prefix.strip("/"), key) if part)

    def _remove(self, unnamed: set[str], *, at_once: bool) -> None:
        """Delete what no view has named for a while."""
        now = self._clock()
        self._unnamed = {key: self._unnamed.get(key, now) for key in unnamed}
        due = sorted(key for key, since in self._unnamed.items() if at_once or now - since > rows_in_parts.GRACE)
        if due:
            self._store.delete(due)
            if self._held is not None:
                self._held.difference_update(due)


def _store(settings: Settings) -> S3Store:
    """Return the client; it connects with the first request."""
    return S3Store(
        settings.bucket,
        prefix=settings.prefix.strip("/") or None,
        endpoint=settings.endpoint or None,
        region=settings.region,
        access_key_id=settings.access_key,
        secret_access_key=settings.secret_key,
        client_options={
            "allow_http": settings.endpoint.startswith("http://"),
            "timeout": f"{_TIMEOUT_S}s",
            "connect_timeout": "10s",
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=_RETRY_S)},
    )


class _Markers(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Stands for the storage while views are made: DuckDB looks at the columns of each file that a view names.

    Every file is shown as the one that has its table's columns and no rows; the views cast to those types anyway.
    """

    protocol = "s3"
    cachable = False

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__()
        self._files = files

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def unstrip_protocol(self, name: str) -> str:
        """Return a path as DuckDB gave it."""
        return name

    def open(self, path: str, *_: Any, **__: Any) -> io.BytesIO:
        """Return a file's content."""
        return io.BytesIO(self._files[path])

    def glob(self, path: str, **_: Any) -> list[str]:
        """Return a path that has no pattern."""
        return [path]

    def exists(self, path: str, **_: Any) -> bool:
        """Return whether there is such a file."""
        return path in self._files

    def size(self, path: str) -> int:
        """Return a file's size in bytes."""
        return len(self._files[path])

    def modified(self, path: str) -> datetime:
        """Return a time that never changes."""
        del path
        return datetime(1970, 1, 1, tzinfo=UTC)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return what DuckDB may ask of a file."""
        return {"name": path, "size": self.size(path), "type": "file"}


def _digest(columns: Columns) -> str:
    """Return what tells one state of a table's columns from another."""
    return hashlib.sha256(msgspec.json.encode(list(columns.items()))).hexdigest()[:16]


@contextmanager
def _told() -> Iterator[None]:
    """Turn an error of the storage into ours, without its address or its keys."""
    try:
        yield
    except BaseError as error:
        said = str(error)  # a list has no error of its own for what storage says
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or any(code in said for code in _REFUSALS):
            raise UnauthorizedError(
                "The bucket refuses these keys; compare access key, secret key, bucket and region, and allow them to "
                "list, read, write and delete."
            ) from error
        if isinstance(error, NotFoundError) or "NoSuchBucket" in said:
            raise DeliveryError("There is no such bucket; make it, or compare its name and its region.") from error
        raise RetryableError(
            f"The bucket could not be reached ({type(error).__name__}); compare its endpoint and region."
        ) from error
