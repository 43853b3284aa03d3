"""The control plane in one object: what the API, the pages and the commands ask and change.

All calls are synchronous (a few SQLite statements): inside an event loop they run in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from sqlalchemy import Engine

from headwater import clock as wall
from headwater.clock import Clock
from headwater.control import database
from headwater.control.accounts import Accounts
from headwater.control.alerts.channels import AlertChannels
from headwater.control.alerts.rules import AlertRules
from headwater.control.audit.images import equip
from headwater.control.audit.trail import Audit
from headwater.control.catalog import Catalog
from headwater.control.destinations import Destinations
from headwater.control.filters import Filters
from headwater.control.functions import Functions
from headwater.control.insert_functions import InsertFunctions
from headwater.control.keyring import Keyring, fixed
from headwater.control.labels.labels import Labels
from headwater.control.models import Caller
from headwater.control.people.credentials import Credentials
from headwater.control.people.invites import Invites, Post
from headwater.control.people.passwords import Passwords
from headwater.control.people.sessions import Sessions
from headwater.control.people.users import Users
from headwater.control.privacy.regulations import Regulations
from headwater.control.privacy.suppressions import Suppressions
from headwater.control.protocols.controls import SchemaControls
from headwater.control.protocols.plans import TrackingPlans
from headwater.control.requests.repeats import Repeats
from headwater.control.rights import Rights
from headwater.control.rotation import Rotation
from headwater.control.secrets import SecretBox
from headwater.control.snapshot import Snapshot, load, version
from headwater.control.sources import Sources
from headwater.control.stable_keys import StableKeys
from headwater.control.subscriptions import Subscriptions
from headwater.control.tokens import Tokens
from headwater.control.warehouses import Warehouses
from headwater.control.workspaces import Workspaces
from headwater.delivery.address import Policy


class Control:
    """One attribute a family: `workspaces`, `sources`, `accounts`, `destinations`, `warehouses` and so on."""

    def __init__(  # noqa: PLR0913 - each is what the program knows and this room does not
        self,
        engine: Engine,
        secret_key: Keyring | bytes,
        source_regions: Mapping[str, tuple[str, ...]] | None = None,
        clock: Clock = wall.now,
        policy: Policy | None = None,
        log_end: Callable[[], int] | None = None,
        *,
        passwords: Passwords | None = None,
        post: Post | None = None,
    ) -> None:
        keys = fixed(secret_key) if isinstance(secret_key, bytes) else secret_key
        box = SecretBox(keys)
        self._engine, self._box = engine, box
        equip(engine, box, clock)
        self._stable_keys = StableKeys(engine, box, clock)
        self.rotation = Rotation(engine, keys, clock)
        self.audit = Audit(engine, clock)
        self.catalog = Catalog(source_regions)
        self.workspaces = Workspaces(engine, clock)
        self.sources = Sources(engine, box, self.catalog, clock)
        self.destinations = Destinations(engine, box, self.catalog, clock, policy, log_end)
        self.filters = Filters(engine, clock)
        self.subscriptions = Subscriptions(engine, clock)
        self.functions = Functions(engine, clock)
        self.insert_functions = InsertFunctions(engine, box, clock)
        self.warehouses = Warehouses(engine, box, self.catalog, clock)
        self.accounts = Accounts(engine, box, self.catalog, clock)
        self.alert_rules = AlertRules(engine, clock)
        self.alert_channels = AlertChannels(engine, box, clock, policy)
        self.labels = Labels(engine, clock)
        self.tokens = Tokens(engine, keys, clock)
        self.users = Users(engine, clock)
        self.sessions = Sessions(engine, clock)
        self.invites = Invites(engine, clock, post or Post())
        self.credentials = Credentials(engine, keys, self.users, passwords or Passwords(), clock)
        self.rights = Rights(engine)
        self.suppressions = Suppressions(engine, partial(self.stable_key, "privacy"), clock)
        self.regulations = Regulations(engine, box, clock, self.suppressions)
        self.schema_controls = SchemaControls(engine)
        self.tracking_plans = TrackingPlans(engine, clock)
        self.repeats = Repeats(engine, partial(self.stable_key, "repeated answers"), clock)

    def version(self) -> int:
        """Return the number of the present configuration; it grows with every change."""
        return version(self._engine)

    def snapshot(self) -> Snapshot:
        """Return the whole configuration, secrets open, as one consistent state."""
        return load(self._engine, self._box, self.catalog)

    def authenticate(self, token: str, workspace: str = "") -> Caller | None:
        """Return who holds this Public API token, None when it is unknown, expired or revoked.

        Args:
            token: as the request has it.
            workspace: slug or id of the one it is meant for; "" is the token's own, for a local token the oldest.

        Raises:
            NotFoundError: there is no such workspace, or it is not the token's.
        """
        caller = self.tokens.authenticate(token, self.workspaces.get().id)
        if caller is None or not workspace:
            return caller
        return replace(caller, workspace_id=self.workspaces.seen(caller, workspace).id)

    def stable_key(self, purpose: str) -> bytes:
        """Return a random key of 32 bytes for one purpose, which stays the same when SECRET_KEY is rotated."""
        return self._stable_keys.get(purpose)

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()


def open_control(  # noqa: PLR0913 - each is what the program knows and this room does not
    url: str,
    secret_key: Keyring | bytes,
    *,
    region: str = "us",
    source_regions: Mapping[str, tuple[str, ...]] | None = None,
    clock: Clock = wall.now,
    policy: Policy | None = None,
    log_end: Callable[[], int] | None = None,
    passwords: Passwords | None = None,
    post: Post | None = None,
) -> Control:
    """Return the control plane, its database brought up to date and with a default workspace in it.

    Args:
        url: of the control database, such as `sqlite:////var/lib/headwater/control.db`.
        secret_key: the installation's, of which the key for stored secrets is derived; a ring where it can be rotated.
        region: of the default workspace, where it is made now.
        source_regions: the operator's widening, {slug: regions}.
        clock: stamps what is created.
        policy: where outgoing calls may go; None checks the form of an address only.
        log_end: tells where the log ends; a new destination begins there. None: it begins by the clock.
        passwords: how they are kept; None is as strong as it should be, which tests do without.
        post: how invitations reach people; None shows the last part of their links only.

    Raises:
        ConfigError: the database is newer than this program, or its secrets belong to another key.
    """
    engine = database.open_engine(url)
    database.migrate(engine)
    control = Control(engine, secret_key, source_regions, clock, policy, log_end, passwords=passwords, post=post)
    control.workspaces.first_start(region)
    control.snapshot()  # a wrong SECRET_KEY is told now, not at the first delivery
    return control
