"""`/invites`: who is asked to join the workspace, as in Segment's Public API (IAM Users)."""

from __future__ import annotations

from typing import Final

import msgspec

from headwater.clock import Clock
from headwater.control.api import shapes
from headwater.control.api.door import Answer, Asked, Operation, Query
from headwater.control.api.models import Done
from headwater.control.api.models import people as models
from headwater.control.api.paging import Pager
from headwater.control.api.roles import PermissionInput, granted, permissions
from headwater.control.api.users import many
from headwater.control.grants import Grant
from headwater.control.models import Role
from headwater.control.moments import text_of
from headwater.control.people.invites import Invitation, Sent, Wanted
from headwater.control.service import Control
from headwater.errors import InvalidRequestError

_AT_ONCE_MAX: Final = 100  # ours
_EMAILS: Final = Query("emails", "Whose; several as emails=a&emails=b.", {"type": "string"}, required=True)


class Invite(msgspec.Struct, forbid_unknown_fields=True):
    """Who is invited as what; without permissions they may read."""

    email: str
    permissions: list[PermissionInput] = []


class CreateInvites(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /invites` takes."""

    invites: list[Invite]


class InviteOperations:
    """Everything under `/invites`."""

    def __init__(self, control: Control, pager: Pager, clock: Clock) -> None:
        self._control, self._pager, self._clock = control, pager, clock

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        renewed = "/invites/{inviteId}/renew"
        return [
            Operation("GET", "/invites", Role.OWNER, self.list, answer=models.Invites, paged=True),
            Operation("POST", "/invites", Role.OWNER, self.create, CreateInvites, 201, answer=models.InvitesCreated),
            Operation("DELETE", "/invites", Role.OWNER, self.delete, answer=Done, query=(_EMAILS,)),
            Operation("POST", renewed, Role.OWNER, self.renew, answer=models.OneInvitation),
        ]

    def list(self, asked: Asked) -> Answer:
        """Return a page of the invitations that nobody has taken up yet, oldest first."""
        found = self._control.invites.all(asked.caller.workspace_id)
        page, pagination = self._pager.page(asked, "invites", found, _position)
        return {
            "invites": [each.email for each in page],
            "invitations": [self._shape(each) for each in page],
            "pagination": pagination,
        }

    def create(self, asked: Asked) -> Answer:
        """Invite people; this answer is the only one that shows the links, which work once and for a week."""
        wanted: list[Invite] = asked.body.invites
        if not 1 <= len(wanted) <= _AT_ONCE_MAX:
            raise InvalidRequestError(f"invites are 1 to {_AT_ONCE_MAX}", field="invites")
        workspace_id = asked.caller.workspace_id
        sent = self._control.invites.invite(workspace_id, [_wanted(each, workspace_id) for each in wanted])
        return {"emails": [each.invitation.email for each in sent], "invitations": [self._sent(each) for each in sent]}

    def delete(self, asked: Asked) -> Answer:
        """Take invitations back; their links are worth nothing any more."""
        self._control.invites.revoke(asked.caller.workspace_id, many(asked, "emails"))
        return {"status": "SUCCESS"}

    def renew(self, asked: Asked) -> Answer:
        """Make a new link for an invitation, shown in this answer only; the former one ends."""
        return {
            "invitation": self._sent(self._control.invites.renew(asked.caller.workspace_id, asked.path["inviteId"]))
        }

    def _sent(self, sent: Sent) -> shapes.Shape:
        return {**self._shape(sent.invitation), "link": sent.link, "isMailed": sent.is_mailed}

    def _shape(self, invitation: Invitation) -> shapes.Shape:
        sources = invitation.source_ids
        return {
            "id": invitation.id,
            "email": invitation.email,
            "role": str(invitation.role),
            "sourceIds": None if sources is None else sorted(sources),
            "permissions": permissions(Grant(invitation.role, sources), invitation.workspace_id),
            "invitedBy": invitation.invited_by,
            "createdAt": text_of(invitation.created_at),
            "expiresAt": text_of(invitation.expires_at),
            "isExpired": invitation.expires_at <= self._clock(),
        }


def _wanted(invite: Invite, workspace_id: str) -> Wanted:
    grant = granted(invite.permissions, workspace_id) if invite.permissions else Grant(Role.READ_ONLY)
    return Wanted(invite.email, grant.role, None if grant.source_ids is None else sorted(grant.source_ids))


def _position(invitation: Invitation) -> str:
    return f"{text_of(invitation.created_at)} {invitation.id}"
