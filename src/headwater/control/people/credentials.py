"""How somebody proves who they are: the set-up link, a password; and how a password is set and changed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine, select, update

from headwater.clock import Clock
from headwater.control import local_token
from headwater.control.database import changing, noting
from headwater.control.keyring import Keyring
from headwater.control.models import Role
from headwater.control.moments import text_of
from headwater.control.people.models import User
from headwater.control.people.passwords import Passwords, checked
from headwater.control.people.tables import sessions, users
from headwater.control.people.throttle import Throttle
from headwater.control.people.users import Users, checked_email, folded, joined
from headwater.errors import ConflictError, ForbiddenError, InvalidRequestError, NotFoundError

_WRONG: Final = "E-mail address or password is wrong."
_TOKEN_CHARS_MAX: Final = 200


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
            with noting(self._engine) as connection:
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
        hashed = self._passwords.hashed(checked(new, user.email, user.name, field="new"))
        with changing(self._engine) as connection:
            connection.execute(update(users).where(users.c.id == user_id).values(password_hash=hashed))
            connection.execute(sessions.delete().where(sessions.c.user_id == user_id))

    def by_subject(self, subject: str, email: str) -> User | None:
        """Return whom an identity provider vouches for: who came with this subject before, else who has this address.

        Args:
            subject: issuer and subject, which never change.
            email: verified by the provider.

        Raises:
            ConflictError: the address is that of somebody who came with another subject.
        """
        with self._engine.connect() as connection:
            known = connection.execute(select(users.c.id).where(users.c.oidc_subject == subject)).scalar()
        if known is not None:
            return self._known(str(known))
        found = self._users.by_email(email)
        if found is None:
            return None
        with changing(self._engine) as connection:
            free = update(users).where(users.c.id == found.id, users.c.oidc_subject.is_(None))
            if connection.execute(free.values(oidc_subject=subject)).rowcount == 0:
                raise ConflictError("This e-mail address belongs to another account of the identity provider.")
        return found

    def _known(self, user_id: str) -> User:
        found = self._users.find(user_id)
        if found is None:
            raise NotFoundError("There is no such user; they were removed a moment ago.")
        return found


def _is_set_up(connection: Connection) -> bool:
    return connection.execute(select(users.c.id).where(users.c.is_operator).limit(1)).scalar() is not None
