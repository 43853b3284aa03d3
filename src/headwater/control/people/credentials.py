"""How somebody proves who they are: the set-up link, a password; and how a password is set and changed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine, select, update

from headwater.clock import Clock
from headwater.control import grants, local_token, naming
from headwater.control.database import changing, workspaces
from headwater.control.keyring import Keyring
from headwater.control.models import Role
from headwater.control.moments import text_of
from headwater.control.people.models import Identity, User
from headwater.control.people.passwords import Passwords, checked
from headwater.control.people.tables import invitations, sessions, users
from headwater.control.people.throttle import Throttle
from headwater.control.people.users import Users, checked_email, folded, joined, user_of
from headwater.errors import ConflictError, ForbiddenError, InvalidRequestError, NotFoundError

_WRONG: Final = "E-mail address or password is wrong."
_TOKEN_CHARS_MAX: Final = 200
_NAME_CHARS_MAX: Final = 100  # of a name, as everywhere


class Credentials:
    """Sets Headwater up, and takes and changes passwords; each takes tens of milliseconds.

    Args:
        engine: of the control database.
        keys: which sign the set-up link.
        users: whom it is about.
        passwords: hashes and compares.
        clock: tells when.
    """

    def __init__(self, engine: Engine, keys: Keyring, users: Users, passwords: Passwords, clock: Clock) -> None:
        self._engine, self._keys, self._users, self._passwords, self._clock = engine, keys, users, passwords, clock
        self._throttle = Throttle()

    def is_set_up(self) -> bool:
        """Return whether somebody has set Headwater up: from then on no set-up link is worth anything."""
        with self._engine.connect() as connection:
            return _is_set_up(connection)

    def opens_set_up(self, link_token: str) -> bool:
        """Return whether this is the token of a set-up link that still works."""
        if len(link_token) > _TOKEN_CHARS_MAX or self.is_set_up():
            return False
        now = self._clock()
        return any(local_token.verify(key, link_token, now, local_token.SET_UP) for key in self._keys.all)

    def set_up(self, link_token: str, workspace_id: str, email: str, name: str, password: str) -> User:
        """Make the first person, who owns the workspace and may make others.

        Raises:
            ForbiddenError: the link has been used or has run out.
            InvalidRequestError: a value is wrong; its field is named.
        """
        if not self.opens_set_up(link_token):
            raise ForbiddenError("This link has been used or has run out. `headwater setup-link` prints another.")
        address = checked_email(email)
        hashed = self._passwords.hashed(checked(password, address, name))
        with changing(self._engine) as connection:
            if _is_set_up(connection):
                raise ForbiddenError("Headwater was set up a moment ago. Sign in, or ask for an invitation.")
            user_id = joined(
                connection,
                workspace_id,
                address,
                name,
                role=Role.OWNER,
                source_ids=None,
                at=text_of(self._clock()),
                password_hash=hashed,
                is_operator=True,
            )
        return self._known(user_id)

    def hashed(self, email: str, name: str, password: str) -> str:
        """Return what is stored of the password of somebody who joins.

        Raises:
            InvalidRequestError: nobody may have this password.
        """
        return self._passwords.hashed(checked(password, folded(email), name))

    def by_password(self, email: str, password: str, address: str) -> User:
        """Return whose e-mail address and password these are.

        Unknown people and wrong passwords get the same answer after the same work.

        Args:
            email: as typed.
            password: as typed.
            address: where the request comes from.

        Raises:
            ForbiddenError: nobody's.
            RequestError: 429, there were too many wrong ones.
        """
        account = folded(email)
        self._throttle.admit(account, address, self._clock())
        with self._engine.connect() as connection:
            row = connection.execute(select(users).where(users.c.email == account)).one_or_none()
        verdict = self._passwords.compare(None if row is None else row.password_hash, password)
        if row is None or not verdict.is_right:
            self._throttle.wrong(account, address, self._clock())
            raise ForbiddenError(_WRONG)
        self._throttle.right(account, address)
        if verdict.is_outdated:
            stronger = update(users).where(users.c.id == row.id, users.c.password_hash == row.password_hash)
            with changing(self._engine) as connection:
                connection.execute(stronger.values(password_hash=self._passwords.hashed(password)))
        return self._known(row.id)

    def change_password(self, user_id: str, present: str, new: str, address: str) -> None:
        """Give a user another password and end all their sessions; who came through OIDC may set a first one.

        Raises:
            InvalidRequestError: the present one is wrong, or nobody may have the new one; its field is named.
            RequestError: 429, there were too many wrong ones.
        """
        user = self._known(user_id)
        if user.has_password:
            try:
                self.by_password(user.email, present, address)
            except ForbiddenError as error:
                raise InvalidRequestError("This is not your present password.", field="present") from error
        self._store(user, checked(new, user.email, user.name, field="new"))

    def reset_password(self, email: str, new: str) -> User:
        """Give whoever has this address another password and end all their sessions: for the machine's own commands.

        Raises:
            NotFoundError: nobody has this address.
            InvalidRequestError: nobody may have this password.
        """
        user = self._users.by_email(email)
        if user is None:
            raise NotFoundError(
                f"Nobody here has the address {email[:60]!r}; `headwater users list` shows who there is."
            )
        self._store(user, checked(new, user.email, user.name))
        return self._known(user.id)

    def _store(self, user: User, password: str) -> None:
        hashed = self._passwords.hashed(password)
        with changing(self._engine) as connection:
            connection.execute(update(users).where(users.c.id == user.id).values(password_hash=hashed))
            connection.execute(sessions.delete().where(sessions.c.user_id == user.id))

    def by_identity(self, identity: Identity) -> User:
        """Return whom an identity provider vouches for.

        That is who came with this subject before, else who has this address, else who is invited or may join. The first
        time, the password of an account that was there ends with its sessions: whoever chose it was given a link, and
        may have been somebody else. Who set Headwater up keeps theirs, for when the provider is away.

        Raises:
            ForbiddenError: Headwater is not set up yet, or nobody knows them here.
            ConflictError: the address is that of somebody who came with another subject.
        """
        with self._engine.connect() as connection:
            is_subject = users.c.oidc_subject == identity.subject
            known = connection.execute(select(users.c.id).where(is_subject)).scalar()
        if known is not None:
            return self._known(str(known))
        with changing(self._engine) as connection:
            address = checked_email(identity.email)
            found = connection.execute(select(users).where(users.c.email == address)).one_or_none()
            if found is None:
                return self._newcomer(connection, identity, address)
            if found.oidc_subject is not None:
                raise ConflictError("This e-mail address belongs to another account of the identity provider.")
            linking = update(users).where(users.c.id == found.id)
            connection.execute(linking.values(oidc_subject=identity.subject))
            if not found.is_operator:  # who set up is the machine's own; others showed a link, which proves no address
                connection.execute(linking.values(password_hash=None))
                connection.execute(sessions.delete().where(sessions.c.user_id == found.id))
        return self._known(found.id)

    def _newcomer(self, connection: Connection, identity: Identity, address: str) -> User:
        if not _is_set_up(connection):
            raise ForbiddenError("Headwater is not set up yet. Open the set-up link that the server printed.")
        at = text_of(self._clock())
        places = _invited(connection, address, at)
        if not places and identity.may_join:
            oldest = select(workspaces.c.id).order_by(workspaces.c.created_at, workspaces.c.id).limit(1)
            places = [(str(connection.execute(oldest).scalar_one()), str(Role.READ_ONLY), None)]
        if not places:
            raise ForbiddenError(f"Nobody has invited {address}. Ask an owner for an invitation to this address.")
        for workspace_id, role, source_ids in places:
            user_id = joined(
                connection,
                workspace_id,
                address,
                _name(identity, address),
                role=role,
                source_ids=source_ids,
                at=at,
                oidc_subject=identity.subject,
            )
        row = connection.execute(select(users).where(users.c.id == user_id)).one()
        return user_of(row)

    def _known(self, user_id: str) -> User:
        found = self._users.find(user_id)
        if found is None:
            raise NotFoundError("There is no such user; they were removed a moment ago.")
        return found


def _name(identity: Identity, address: str) -> str:
    """Return a name that others may see: the provider's, or what stands before the @ where that is no name."""
    try:
        return naming.checked_name(identity.name[:_NAME_CHARS_MAX])
    except InvalidRequestError:
        return address.partition("@")[0][:_NAME_CHARS_MAX]


def _invited(connection: Connection, address: str, at: str) -> list[tuple[str, str, list[str] | None]]:
    """Take up what an address is invited to, and return workspace, role and sources of each."""
    is_open = (invitations.c.email == address) & invitations.c.accepted_at.is_(None) & (invitations.c.expires_at > at)
    found = connection.execute(select(invitations).where(is_open)).all()
    connection.execute(update(invitations).where(is_open).values(accepted_at=at))
    chosen = [grants.read(row.source_ids) for row in found]
    return [
        (row.workspace_id, row.role, None if sources is None else sorted(sources))
        for row, sources in zip(found, chosen, strict=True)
    ]


def _is_set_up(connection: Connection) -> bool:
    return connection.execute(select(users.c.id).where(users.c.is_operator).limit(1)).scalar() is not None
