"""How much mail a workspace's people may have sent: what they write reaches strangers in the operator's name."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

WINDOW: Final = timedelta(hours=24)
_KEYS_MAX: Final = 10_000  # ours: workspaces and addresses that are remembered; 2 MB


class Postage:
    """Counts the messages of the last 24 hours, in memory of the one process that sends them.

    Args:
        of_workspace: messages that one workspace may have sent.
        to_address: messages that one address gets, whichever workspaces send them.
    """

    def __init__(self, of_workspace: int, to_address: int) -> None:
        self._of_workspace, self._to_address = of_workspace, to_address
        self._sent: OrderedDict[str, deque[datetime]] = OrderedDict()
        self._lock = Lock()

    def admit(self, workspace_id: str, addresses: Iterable[str], now: datetime) -> bool:
        """Return whether a message to these addresses may go out now, and count it if so."""
        bounds = {f"of {workspace_id}": self._of_workspace}
        bounds |= {f"to {address.strip().lower()}": self._to_address for address in addresses}
        with self._lock:
            if any(len(self._lately(key, now)) >= most for key, most in bounds.items()):
                return False
            for key in bounds:
                self._sent.setdefault(key, deque()).append(now)
                self._sent.move_to_end(key)
            while len(self._sent) > _KEYS_MAX:
                self._sent.popitem(last=False)
        return True

    def _lately(self, key: str, now: datetime) -> deque[datetime]:
        times = self._sent.get(key, deque())
        while times and times[0] <= now - WINDOW:
            times.popleft()
        return times
