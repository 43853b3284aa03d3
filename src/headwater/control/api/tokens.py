"""`/tokens`: tokens of this API; Segment makes its own in the web app only."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from headwater.clock import Clock
from headwater.control.api import shapes
from headwater.control.api.door import Answer, Asked, Operation
from headwater.control.api.models import Done
from headwater.control.api.models import people as models
from headwater.control.api.paging import Pager
from headwater.control.api.sources import position
from headwater.control.models import Role, Token
from headwater.control.moments import text_of
from headwater.control.service import Control
from headwater.errors import InvalidRequestError


class CreateToken(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /tokens` takes: a role, and what the token is narrowed to."""

    name: str
    role: str
    scopes: list[str] = []
    sourceIds: list[str] | UnsetType | None = UNSET  # noqa: N815
    expiresAt: str | UnsetType | None = UNSET  # noqa: N815


class TokenOperations:
    """Everything under `/tokens`."""

    def __init__(self, control: Control, pager: Pager, clock: Clock) -> None:
        self._control, self._pager, self._clock = control, pager, clock

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        one = "/tokens/{tokenId}"
        return [
            Operation("GET", "/tokens", Role.OWNER, self.list, answer=models.Tokens, paged=True),
            Operation("POST", "/tokens", Role.OWNER, self.create, CreateToken, 201, answer=models.TokenCreated),
            Operation("GET", one, Role.OWNER, self.get, answer=models.OneToken, volatile=("lastUsedAt",)),
            Operation("DELETE", one, Role.OWNER, self.revoke, answer=Done),
        ]

    def list(self, asked: Asked) -> Answer:
        """Return a page of tokens, oldest first, expired ones too; a revoked one is gone."""
        found = self._control.tokens.all(asked.caller.workspace_id)
        page, pagination = self._pager.page(asked, "tokens", found, position)
        return {"tokens": [self._shape(each) for each in page], "pagination": pagination}

    def create(self, asked: Asked) -> Answer:
        """Make a token; this answer is the only one that shows it."""
        wanted: CreateToken = asked.body
        secret, made = self._control.tokens.create(
            asked.caller.workspace_id,
            wanted.name,
            wanted.role,
            only=wanted.scopes,
            source_ids=None if isinstance(wanted.sourceIds, UnsetType) else wanted.sourceIds,
            expires_at=None if isinstance(wanted.expiresAt, UnsetType | None) else instant(wanted.expiresAt),
            maker=asked.caller,
        )
        return {"token": {**self._shape(made), "secret": secret}}

    def get(self, asked: Asked) -> Answer:
        """Return one token, without itself."""
        return {"token": self._shape(self._found(asked))}

    def revoke(self, asked: Asked) -> Answer:
        """Make a token worthless at once; streams that it holds open end within seconds."""
        self._control.tokens.revoke(asked.caller.workspace_id, self._found(asked).id)
        return {"status": "SUCCESS"}

    def _found(self, asked: Asked) -> Token:
        return self._control.tokens.get(asked.caller.workspace_id, asked.path["tokenId"])

    def _shape(self, token: Token) -> shapes.Shape:
        return {
            "id": token.id,
            "name": token.name,
            "role": str(token.role),
            "scopes": sorted(token.scopes),
            "sourceIds": None if token.source_ids is None else sorted(token.source_ids),
            "prefix": token.prefix,
            "createdAt": text_of(token.created_at),
            "createdBy": token.created_by,
            "userId": token.user_id or None,
            "expiresAt": text_of(token.expires_at) if token.expires_at else None,
            "isExpired": token.expires_at is not None and token.expires_at <= self._clock(),
            "lastUsedAt": text_of(token.last_used_at) if token.last_used_at else None,
        }


def instant(text: str) -> datetime:
    """Return the instant that a token ends at.

    Raises:
        InvalidRequestError: it is none, or has no zone.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidRequestError("expiresAt is a time with zone, such as 2027-01-31T08:00:00Z", field="expiresAt")
    return found
