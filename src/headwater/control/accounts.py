"""Accounts of ActiveCampaign: connected to a source by its write key, changed, switched on and off, forgotten.

What is stored here is what people want; the pipeline role brings it about (`sources.contract.Worker`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, delete, insert, select, update

from headwater.clock import Clock
from headwater.control import naming, rows, webhook_secrets
from headwater.control import options as settings_of
from headwater.control.catalog import Catalog, Entry, Kind
from headwater.control.database import Row, accounts, changing, sources, workspaces, write_keys
from headwater.control.models import MASKED, AccountEntry, Source
from headwater.control.moments import moment, text_of
from headwater.control.secrets import SecretBox
from headwater.control.sources import read_sources
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError
from headwater.ingest.webhooks import PREFIX

TYPE: Final = "activecampaign"
"""The source type that has accounts."""

_ACCOUNTS_MAX: Final = 100  # ours, a workspace: each is asked on its own
_KEY: Final = "api_key"
_KEY_CHARS_MAX: Final = 500  # ours: ActiveCampaign's have 72


@dataclass(frozen=True, slots=True)
class Place:
    """Where an account is, as the pipeline role found it: base address and name."""

    url: str
    name: str


class Accounts:
    """The accounts of all workspaces; each call names the workspace it acts in."""

    def __init__(self, engine: Engine, box: SecretBox, catalog: Catalog, clock: Clock) -> None:
        self._engine, self._box, self._catalog, self._clock = engine, box, catalog, clock

    def all(self, workspace_id: str) -> list[AccountEntry]:
        """Return the accounts of a workspace, oldest first; secrets masked."""
        with self._engine.connect() as connection:
            found = read_sources(connection, self._box, self._catalog, workspace_id=workspace_id)
            return read_accounts(connection, self._box, self._catalog, found)

    def get(self, workspace_id: str, account_id: str) -> AccountEntry:
        """Return one account.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        for account in self.all(workspace_id):
            if account.id == account_id:
                return account
        raise _unknown(account_id)

    def of_source(self, workspace_id: str, source_id: str) -> AccountEntry | None:
        """Return the account that is connected to a source, None when there is none."""
        return next((each for each in self.all(workspace_id) if each.source_id == source_id), None)

    def target(self, workspace_id: str, write_key: str) -> Source:
        """Return the source that a write key leads to, if an account may be connected to it.

        Raises:
            InvalidRequestError: the key is of no source, of a disabled one or of another workspace's.
            ForbiddenError: ActiveCampaign, or this source, cannot be used in the workspace's region.
        """
        with self._engine.connect() as connection:
            return self._target(connection, workspace_id, write_key.strip())

    def connect(
        self,
        workspace_id: str,
        place: Place,
        *,
        api_key: str,
        source_id: str,
        settings: Mapping[str, Any] | None = None,
    ) -> AccountEntry:
        """Connect an account to a source, switched on, and return it; one that is connected already is updated.

        Args:
            workspace_id: where.
            place: of the account.
            api_key: tried already.
            source_id: of a source that `target` gave.
            settings: of the mapping; None takes what the source, or the account, has.

        Raises:
            NotFoundError: the source is gone.
            ConflictError: the source has another account, or the workspace as many as it may have.
            InvalidRequestError: the settings are wrong.
        """
        api_key = checked_key(api_key)
        with changing(self._engine) as connection:
            row = _at(connection, workspace_id, place.url)
            source = rows.one(connection, sources, workspace_id, source_id)
            _refuse_taken(connection, source, row.id if row else "")
            account_id = str(row.id) if row else self._insert(connection, source, place, api_key)
            self._move(connection, workspace_id, account_id, source)
            self._set(connection, workspace_id, account_id, settings)
            self._change(connection, account_id, {"enabled": True, _KEY: api_key, "name": place.name})
        return self.get(workspace_id, account_id)

    def update(
        self,
        workspace_id: str,
        account_id: str,
        *,
        enabled: bool | None = None,
        place: Place | None = None,
        api_key: str | None = None,
        source_id: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> AccountEntry:
        """Change what is not None and return the account; settings that are not named stay.

        Raises:
            NotFoundError, ConflictError, InvalidRequestError: as in `connect`.
        """
        change: dict[str, Any] = {} if enabled is None else {"enabled": enabled}
        if place is not None:
            change |= {"account_url": place.url, "name": place.name}
        if api_key is not None:
            change[_KEY] = checked_key(api_key)
        with changing(self._engine) as connection:
            row = _row(connection, workspace_id, account_id)
            if place is not None and (other := _at(connection, workspace_id, place.url)) and other.id != row.id:
                raise ConflictError(f"The account at {place.url} is connected already; disconnect one of the two.")
            if source_id is not None:
                source = rows.one(connection, sources, workspace_id, source_id)
                _refuse_taken(connection, source, row.id)
                self._move(connection, workspace_id, row.id, source)
            self._set(connection, workspace_id, row.id, settings)
            self._change(connection, row.id, change)
        return self.get(workspace_id, account_id)

    def delete(self, workspace_id: str, account_id: str) -> None:
        """Forget an account and its key; an ordinary source gives up its webhook address.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        with changing(self._engine) as connection:
            row = _row(connection, workspace_id, account_id)
            connection.execute(delete(accounts).where(accounts.c.id == row.id))
            self._leave(connection, workspace_id, row.source_id)

    def rotate_secret(self, workspace_id: str, account_id: str, *, at_once: bool = False) -> AccountEntry:
        """Give the account's webhook a new address; the present one works on for a day, with `at_once` no longer.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        with changing(self._engine) as connection:
            row = _row(connection, workspace_id, account_id)
            source = rows.one(connection, sources, workspace_id, row.source_id)
            change = webhook_secrets.changed(source, self._box, self._clock(), at_once=at_once)
            connection.execute(update(sources).where(sources.c.id == source.id).values(change))
            self._change(connection, row.id, {})
        return self.get(workspace_id, account_id)

    def _target(self, connection: Connection, workspace_id: str, write_key: str) -> Source:
        region = connection.execute(select(workspaces.c.region).where(workspaces.c.id == workspace_id)).scalar_one()
        self._catalog.admit(self._entry, region)
        owner = connection.execute(
            select(sources.c.id, sources.c.workspace_id, workspaces.c.region)
            .join(write_keys, write_keys.c.source_id == sources.c.id)
            .join(workspaces, workspaces.c.id == sources.c.workspace_id)
            .where(write_keys.c.write_key == write_key)
        ).one_or_none()
        if owner is None or owner.workspace_id != workspace_id:
            elsewhere = "" if owner is None or owner.region == region else owner.region
            raise _no_such_key(write_key, elsewhere, region)
        found = read_sources(connection, self._box, self._catalog, workspace_id=workspace_id)
        source = next(each for each in found if each.id == owner.id)
        entry = self._catalog.find(Kind.SOURCE, source.type)
        self._catalog.admit(entry, region)
        if not source.enabled:
            raise InvalidRequestError(
                f"The source {source.name} of this write key is disabled; enable it, or use the key of another source.",
                field="writeKey",
            )
        return source

    @property
    def _entry(self) -> Entry:
        return self._catalog.find(Kind.SOURCE, TYPE)

    def _insert(self, connection: Connection, source: Row, place: Place, api_key: str) -> str:
        rows.room_for_one_more(connection, accounts, source.workspace_id, _ACCOUNTS_MAX)
        account_id, now = naming.new_id(), text_of(self._clock())
        row = {
            "id": account_id,
            "workspace_id": source.workspace_id,
            "source_id": source.id,
            "account_url": place.url,
            "name": place.name,
            "api_key": self._box.seal(account_id, _KEY, api_key),
            "enabled": True,
            "settings": "{}",
            "created_at": now,
            "updated_at": now,
        }
        connection.execute(insert(accounts).values(row))
        return account_id

    def _change(self, connection: Connection, account_id: str, change: Mapping[str, Any]) -> None:
        values = dict(change) | {"updated_at": text_of(self._clock())}
        if _KEY in values:
            values[_KEY] = self._box.seal(account_id, _KEY, values[_KEY])
        connection.execute(update(accounts).where(accounts.c.id == account_id).values(values))

    def _move(self, connection: Connection, workspace_id: str, account_id: str, source: Row) -> None:
        """Let the account's events go to this source, which gets a webhook address if it has none."""
        row = _row(connection, workspace_id, account_id)
        if row.source_id != source.id:
            former = rows.one(connection, sources, workspace_id, row.source_id)
            kept = self._opened(_owner(row, former)[1])  # mapped as before, unless the new source has its own settings
            stored = settings_of.sealed(self._entry.settings_class, row.id, kept, self._box)
            values = {"source_id": source.id, "settings": stored}
            connection.execute(update(accounts).where(accounts.c.id == row.id).values(values))
            self._leave(connection, workspace_id, former.id)
        if not source.webhook_secret:
            change = webhook_secrets.made(source.id, self._box)
            connection.execute(update(sources).where(sources.c.id == source.id).values(change))

    def _leave(self, connection: Connection, workspace_id: str, source_id: str) -> None:
        """Take the webhook address from an ordinary source that has no account any more."""
        source = rows.one(connection, sources, workspace_id, source_id)
        if source.type != TYPE and source.webhook_secret:
            change = webhook_secrets.retired(source, self._box, self._clock())
            connection.execute(update(sources).where(sources.c.id == source.id).values(change))

    def _set(self, connection: Connection, workspace_id: str, account_id: str, given: Mapping[str, Any] | None) -> None:
        """Change settings where they are kept: with the source of this type, else with the account."""
        if given is None:
            return
        row = _row(connection, workspace_id, account_id)
        table, owner = _owner(row, rows.one(connection, sources, workspace_id, row.source_id))
        values = settings_of.checked(self._entry.settings_class, given, self._opened(owner))
        stored = settings_of.sealed(self._entry.settings_class, owner.id, values, self._box)
        connection.execute(update(table).where(table.c.id == owner.id).values(settings=stored))

    def _opened(self, owner: Row) -> dict[str, Any]:
        return settings_of.opened(self._entry.settings_class, owner.id, owner.settings, self._box)


def webhook_path(source: Source, catalog: Catalog) -> str:
    """Return where a source's webhooks arrive; it ends in the source's webhook secret.

    The address names the type that maps them: the source's own, or that of the account connected to it.
    """
    own = source.type if catalog.find(Kind.SOURCE, source.type).webhooks else TYPE
    return f"{PREFIX}{own}/{source.webhook_secret}"


def checked_key(api_key: str) -> str:
    """Return an API key without surrounding blanks.

    Raises:
        InvalidRequestError: it is blank, too long, or holds what no key has (it travels in an HTTP header).
    """
    key = api_key.strip()
    if not key:
        raise InvalidRequestError(
            "apiKey is required; ActiveCampaign shows it under Settings, Developer", field="apiKey"
        )
    if len(key) > _KEY_CHARS_MAX or not (key.isascii() and key.isprintable()) or " " in key:
        raise InvalidRequestError("apiKey is no API key; copy it from Settings, Developer", field="apiKey")
    return key


def read_accounts(
    connection: Connection, box: SecretBox, catalog: Catalog, found: Sequence[Source], *, reveal: bool = False
) -> list[AccountEntry]:
    """Return the accounts that are connected to these sources, oldest first.

    Args:
        connection: in a transaction, so that all of it is one state.
        box: opens API keys.
        catalog: knows the settings.
        found: the sources, read in the same transaction.
        reveal: with secrets, for the engines; otherwise masked.
    """
    by_id = {source.id: source for source in found}
    stored = {row.id: row for row in connection.execute(select(sources))}
    entry = catalog.find(Kind.SOURCE, TYPE)
    return [
        AccountEntry(
            id=row.id,
            workspace_id=row.workspace_id,
            source_id=row.source_id,
            url=row.account_url,
            name=row.name,
            enabled=row.enabled,
            active=row.enabled and _is_open(by_id[row.source_id], entry, row.region),
            created_at=moment(row.created_at),
            updated_at=moment(row.updated_at),
            settings=settings_of.read(entry.settings_class, _owner(row, stored[row.source_id])[1], box, reveal=reveal),
            api_key=box.open(row.id, _KEY, row.api_key) if reveal else MASKED,
        )
        for row in connection.execute(
            select(accounts, workspaces.c.region)
            .join(workspaces, workspaces.c.id == accounts.c.workspace_id)
            .order_by(accounts.c.created_at, accounts.c.id)
        )
        if row.source_id in by_id
    ]


def _is_open(source: Source, entry: Entry, region: str) -> bool:
    """Return whether the source takes events, and accounts may be connected in this region."""
    return source.enabled and source.region_allowed and region in entry.regions


def _owner(account: Row, source: Row) -> tuple[Table, Row]:
    """Return where it is stored how the account's events are mapped: a source of this type has its own settings."""
    return (sources, source) if source.type == TYPE else (accounts, account)


def _row(connection: Connection, workspace_id: str, account_id: str) -> Row:
    wanted = select(accounts).where(accounts.c.id == account_id, accounts.c.workspace_id == workspace_id)
    found = connection.execute(wanted).one_or_none()
    if found is None:
        raise _unknown(account_id)
    return found


def _at(connection: Connection, workspace_id: str, url: str) -> Row | None:
    wanted = select(accounts).where(accounts.c.account_url == url, accounts.c.workspace_id == workspace_id)
    return connection.execute(wanted).one_or_none()


def _unknown(account_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no ActiveCampaign connection {account_id[:60]!r}; GET /activecampaign/connections lists them."
    )


def _refuse_taken(connection: Connection, source: Row, account_id: str) -> None:
    """Return when the source has no account, or this one.

    Raises:
        ConflictError: it has another one, which is named.
    """
    wanted = select(accounts.c.name).where(accounts.c.source_id == source.id, accounts.c.id != account_id)
    if (other := connection.execute(wanted).scalar()) is not None:
        raise ConflictError(
            f"The source {source.name} gets its events from the account {other} already; "
            "disconnect that one, or use the write key of another source."
        )


def _no_such_key(write_key: str, elsewhere: str, region: str) -> InvalidRequestError:
    """Return why this is no key to use here; of a foreign one nothing is told but its region, where it is another."""
    if not write_key:
        message = "writeKey is required; a source's page shows it"
    elif elsewhere:
        message = (
            f"This write key belongs to a workspace in the region {elsewhere.upper()}, this one is in "
            f"{region.upper()}; use the key of a source of this workspace."
        )
    else:
        message = "No source of this workspace has this write key; copy it from the source's page."
    return InvalidRequestError(message, field="writeKey")
