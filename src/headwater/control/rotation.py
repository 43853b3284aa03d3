"""The key of stored secrets is changed: every sealed value anew, while the service runs, safe to kill at any point.

The order: the key file gets the new key before the former one, so that every process opens both and seals with the
new; all values are sealed anew; when none is left under the former key, it leaves the file. Both ends hold the
database's write lock, and a change that sealed with the former key meanwhile is refused (`audit.images`).
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, String, Table, delete, false, or_, select, update

from headwater import config
from headwater.clock import Clock
from headwater.control.audit.chain import append
from headwater.control.audit.entry import deed
from headwater.control.database import metadata, noting
from headwater.control.keyring import Keyring
from headwater.control.moments import text_of
from headwater.control.people.tables import sessions
from headwater.control.schema import identity
from headwater.control.secrets import SEALED, SecretBox, key_id_of, replaced
from headwater.control.tokens import LOCAL
from headwater.errors import ConfigError

_ROUNDS_MAX: Final = 10  # ours: each finds only what was sealed during the one before


@dataclass(frozen=True, slots=True)
class Sealed:
    """Where a sealed text stands."""

    table: str
    row_id: str
    column: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Survey:
    """Which keys stored secrets are sealed with.

    Attributes:
        key_ids: of the keys there are, the present one first.
        counts: sealed texts, by key.
        unknown: those whose key is not there.
        altered: those that their key does not open.
    """

    key_ids: tuple[str, ...]
    counts: Counter[str] = field(default_factory=Counter)
    unknown: tuple[Sealed, ...] = ()
    altered: tuple[Sealed, ...] = ()


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did.

    Attributes:
        key_id: of the key that is present now.
        former: the ids of those before.
        sealed_anew: how many texts.
        was_unfinished: it went on with one that was broken off.
    """

    key_id: str
    former: tuple[str, ...]
    sealed_anew: int
    was_unfinished: bool


class Rotation:
    """Changes the key, and tells which keys are in use."""

    def __init__(self, engine: Engine, keys: Keyring, clock: Clock) -> None:
        self._engine, self._keys, self._clock = engine, keys, clock
        self._box = SecretBox(keys)

    @property
    def where(self) -> str:
        """Where the key is: the path of its file, or the setting's name."""
        return str(self._keys.path or "SECRET_KEY")

    def survey(self) -> Survey:
        """Return which keys are in use; every sealed text is opened once."""
        known = set(self._box.key_ids)
        counts: Counter[str] = Counter()
        unknown, altered = [], []
        with self._engine.connect() as connection:
            for place, text in _sealed(connection):
                ids = _key_ids(place[2], text)
                counts.update(ids)
                found = Sealed(*place, next((each for each in ids if each not in known), ids[0]))
                if found.key_id not in known:
                    unknown.append(found)
                    continue
                try:
                    self._box.opened_in(found.row_id, found.column, text)
                except ConfigError:
                    altered.append(found)
        return Survey(self._box.key_ids, counts, tuple(unknown), tuple(altered))

    def rotate(self) -> Rotated:
        """Give the installation a new key, or finish a rotation that was broken off.

        Raises:
            ConfigError: the key is in SECRET_KEY, and no former one beside it; a text cannot be opened; or the key
                file cannot be written.
        """
        path = self._keys.path
        if path is None:
            return self._sealed_by_environment()
        with noting(self._engine):  # nobody else rotates, and nothing is sealed meanwhile
            was_unfinished = len(self._keys.all) > 1
            if not was_unfinished:
                _write(path, [secrets.token_urlsafe(32).encode(), *self._keys.all])
        former = tuple(map(key_id_of, self._keys.all[1:]))
        count = sum(self._rounds(lambda: _write(path, [self._keys.present])))
        return Rotated(key_id_of(self._keys.present), former, count, was_unfinished)

    def _sealed_by_environment(self) -> Rotated:
        if len(self._keys.all) == 1:
            raise ConfigError(
                "The key is in SECRET_KEY, which this command cannot change. Set SECRET_KEY to a new key "
                "(`openssl rand -base64 32`) and SECRET_KEY_FORMER to the present one, restart, and run this again."
            )
        former = tuple(map(key_id_of, self._keys.all[1:]))
        return Rotated(key_id_of(self._keys.present), former, sum(self._rounds(lambda: None)), was_unfinished=False)

    def _rounds(self, finish: Callable[[], None]) -> Iterator[int]:
        """Yield how many texts each round sealed anew; `finish` runs while it is sure that none is left."""
        for _ in range(_ROUNDS_MAX):
            with noting(self._engine) as connection:
                count = self._sealed_anew(connection)
                if count:
                    ids = self._box.key_ids
                    entry = deed("Secrets Rotated", None, ("SECRET_KEY", ids[0], ids[0]), text_of(self._clock()))
                    append(connection, entry, {"sealedAnew": count, "former": list(ids[1:]), "changes": []})
                else:
                    # Whoever read the former key could open the pages with it, and would stay in them for days.
                    connection.execute(delete(sessions).where(sessions.c.token_id == LOCAL))
                    finish()
            yield count
            if not count:
                return
        raise ConfigError("Secrets are sealed with the former key again and again; run this once more.")

    def _sealed_anew(self, connection: Connection) -> int:
        count, former = 0, set(self._box.key_ids[1:])
        for (name, row_id, column), text in list(_sealed(connection)):
            anew = self._box.sealed_anew(row_id, column, text)
            left = {each["key_id"] for each in SEALED.finditer(anew)} & former
            if left:
                raise ConfigError(f"{name}.{column} of {row_id} holds a secret where none is looked for; report this.")
            if anew == text:
                continue
            table = metadata.tables[name]
            named = table.c[identity(table) or ""]
            connection.execute(update(table).where(named == row_id).values({column: anew}))
            count += 1
        return count


def _write(path: Path, keys: list[bytes]) -> None:
    try:
        config.write_keys(path, keys)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}); the key stays as it is.") from error


def _sealed(connection: Connection) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Yield ((table, row id, column), text) of each column that holds a sealed text.

    Raises:
        ConfigError: a table without ids holds one; a defect of ours.
    """
    for table in metadata.sorted_tables:
        columns = [column.name for column in table.columns if isinstance(column.type, String)]
        for row in _rows(connection, table, columns):
            for name in columns:
                text = row[name]
                if isinstance(text, str) and _key_ids(name, text):
                    named = identity(table)
                    if named is None:
                        raise ConfigError(f"{table.name}.{name} holds a sealed secret without an id; report this.")
                    yield (table.name, str(row[named]), name), text


def _key_ids(column: str, text: str) -> list[str]:
    """Return the keys of the sealed texts in a column."""
    ids: list[str] = []

    def seen(_field: str, sealed: str) -> str:
        ids.append(sealed.split(":")[1])
        return sealed

    replaced(column, text, seen)
    return ids


def _rows(connection: Connection, table: Table, columns: list[str]) -> list[Any]:
    wanted = [table.c[name] for name in dict.fromkeys((identity(table), *columns)) if name]
    has_mark = or_(false(), *(table.c[name].like("%v1:%") for name in columns))
    return list(connection.execute(select(*wanted).where(has_mark)).mappings())
