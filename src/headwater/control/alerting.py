"""Alerts as the API and the pages ask for them: what is noted, and a test message."""

from __future__ import annotations

import asyncio
from typing import Any

from headwater.alerts.book import Book
from headwater.alerts.channels import Messenger
from headwater.clock import now
from headwater.control.postage import Postage
from headwater.control.service import Control
from headwater.errors import HeadwaterError

_TESTS_MAX = 20  # ours, a workspace or address and day
_TEST_S = 30.0  # ours: longer than any channel's own deadline


class Alerts:
    """What the web role knows of alerts.

    Attributes:
        book: what is wrong now and was.
    """

    def __init__(self, control: Control, book: Book, messenger: Messenger, public_url: str) -> None:
        self._control, self.book, self._messenger, self._public_url = control, book, messenger, public_url
        self._postage = Postage(_TESTS_MAX, _TESTS_MAX)

    @property
    def has_mail(self) -> bool:
        """Whether the operator has set a mail server."""
        return self._messenger.has_mail

    async def test(self, workspace_id: str, channel_id: str) -> dict[str, Any]:
        """Send a test message; return {"ok": bool, "message": sentence}.

        Raises:
            NotFoundError: the workspace has no such channel.
        """
        channel = await asyncio.to_thread(self._control.alert_channels.get, workspace_id, channel_id, reveal=True)
        workspace = await asyncio.to_thread(self._control.workspaces.get, workspace_id)
        link = f"{self._public_url}/{workspace.slug}/alerts"
        if not self._postage.admit(workspace_id, channel.recipients, now()):
            return {"ok": False, "message": f"At most {_TESTS_MAX} tests are sent within a day. Try again tomorrow."}
        title, text = f"Test from Headwater ({workspace.name})", "Alerts of this workspace arrive here."
        try:
            async with asyncio.timeout(_TEST_S):
                await self._messenger.send(channel, title, text, link)
        except HeadwaterError as error:
            return {"ok": False, "message": str(error)}
        except TimeoutError:
            return {"ok": False, "message": f"{channel.name} did not answer in time."}
        return {"ok": True, "message": "The message was taken."}
