"""`/users`: the members of the workspace and what they may do, as in Segment's Public API (IAM Users)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from headwater.control.api import shapes
from headwater.control.api.door import Answer, Asked, Operation, Query
from headwater.control.api.models import Done
from headwater.control.api.models import people as models
from headwater.control.api.paging import Pager
from headwater.control.api.roles import PermissionInput, granted, permissions
from headwater.control.grants import Grant
from headwater.control.models import Role
from headwater.control.moments import text_of
from headwater.control.people.models import Member
from headwater.control.service import Control
from headwater.errors import InvalidRequestError

_AT_ONCE_MAX: Final = 100  # ours: how many are removed, or taken back, by one request
_USER_IDS: Final = Query("userIds", "Who; several as userIds=a&userIds=b.", {"type": "string"}, required=True)


class PermissionList(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST` and `PUT /users/{userId}/permissions` take."""

    permissions: list[PermissionInput]


class UserOperations:
    """Everything under `/users`."""

    def __init__(self, control: Control, pager: Pager) -> None:
        self._control, self._pager = control, pager

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        one = "/users/{userId}"
        several, changed = PermissionList, models.Permissions
        return [
            Operation("GET", "/users", Role.MEMBER, self.list, answer=models.Users, paged=True),
            Operation("DELETE", "/users", Role.OWNER, self.delete, answer=Done, query=(_USER_IDS,)),
            Operation("GET", one, Role.MEMBER, self.get, answer=models.OneUser),
            Operation("POST", f"{one}/permissions", Role.OWNER, self.add_permissions, several, answer=changed),
            Operation("PUT", f"{one}/permissions", Role.OWNER, self.replace_permissions, several, answer=changed),
            Operation("DELETE", f"{one}/sessions", Role.OWNER, self.end_sessions, answer=models.SessionsEnded),
        ]

    def list(self, asked: Asked) -> Answer:
        """Return a page of members, who joined first first."""
        found = self._control.users.all(asked.caller.workspace_id)
        page, pagination = self._pager.page(asked, "users", found, _position)
        return {"users": [_shape(member) for member in page], "pagination": pagination}

    def get(self, asked: Asked) -> Answer:
        """Return one member."""
        return {"user": _shape(self._member(asked))}

    def delete(self, asked: Asked) -> Answer:
        """Remove members; their sessions end, and the tokens that they made."""
        self._control.users.remove(asked.caller.workspace_id, *many(asked, "userIds"))
        return {"status": "SUCCESS"}

    def add_permissions(self, asked: Asked) -> Answer:
        """Let a member do more."""
        member = self._member(asked)
        wanted = granted(asked.body.permissions, member.workspace_id)
        return self._set(member, Grant(member.role, member.source_ids).beside(wanted))

    def replace_permissions(self, asked: Asked) -> Answer:
        """Say anew what a member may do; their sessions end."""
        member = self._member(asked)
        return self._set(member, granted(asked.body.permissions, member.workspace_id))

    def end_sessions(self, asked: Asked) -> Answer:
        """Sign a member out everywhere."""
        return {"count": self._control.sessions.revoke_all(self._member(asked).user.id)}

    def _set(self, member: Member, grant: Grant) -> Answer:
        sources = None if grant.source_ids is None else sorted(grant.source_ids)
        changed = self._control.users.set_role(member.workspace_id, member.user.id, grant.role, sources)
        return {"permissions": permissions(Grant(changed.role, changed.source_ids), changed.workspace_id)}

    def _member(self, asked: Asked) -> Member:
        return self._control.users.get(asked.caller.workspace_id, asked.path["userId"])


def many(asked: Asked, name: str) -> list[str]:
    """Return every value of a parameter that may be there several times, as `name=a&name=b` or `name[0]=a`.

    Raises:
        InvalidRequestError: it is not there, or too often.
    """
    spelled = re.compile(re.escape(name) + r"(\[[0-9]{0,4}\])?")
    found = [value for key, value in asked.query.multi_items() if spelled.fullmatch(key) and value]
    if not 1 <= len(found) <= _AT_ONCE_MAX:
        raise InvalidRequestError(f"{name} is there 1 to {_AT_ONCE_MAX} times", field=name)
    return list(dict.fromkeys(found))


def _position(member: Member) -> str:
    return f"{text_of(member.since)} {member.user.id}"


def _shape(member: Member) -> shapes.Shape:
    user = member.user
    return {
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "permissions": permissions(Grant(member.role, member.source_ids), member.workspace_id),
        "role": str(member.role),
        "sourceIds": None if member.source_ids is None else sorted(member.source_ids),
        "joinedAt": text_of(member.since),
        "lastSeenAt": text_of(user.last_seen_at) if user.last_seen_at else None,
    }
