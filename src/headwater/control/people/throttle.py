"""How many wrong passwords are borne: guessers wait, the person whose account it is does not.

Counted in memory of the one process that takes passwords; a restart forgets, and nobody outside can cause one.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict, deque
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock
from typing import Final

from headwater.errors import RequestError

WINDOW: Final = timedelta(minutes=10)
WRONG_MAX: Final = 10  # of one account from one address
WRONG_OF_ADDRESS_MAX: Final = 49  # of all accounts from one address
WRONG_OF_ACCOUNT_MAX: Final = 100  # of one account from everywhere; its own known addresses are not counted in
_KEYS_MAX: Final = 20_000  # ours: accounts and addresses that are remembered; 4 MB
_KNOWN_MAX: Final = 5_000  # ours: pairs of account and address that signed in
_IPV6: Final = 6
_IPV6_SITE: Final = 64  # bits: what one household or server is given, so that it counts as one address

Key = tuple[str, str]


class Throttle:
    """Counts wrong passwords of the last ten minutes by account and address, by address, and by account."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[Key, deque[datetime]] = OrderedDict()
        self._known: OrderedDict[Key, None] = OrderedDict()
        self._lock = Lock()

    def admit(self, account: str, address: str, now: datetime) -> None:
        """Return when a password may be tried now.

        Raises:
            RequestError: 429, with the seconds until it may.
        """
        account, site = _account(account), _site(address)
        with self._lock:
            bounds = [((account, site), WRONG_MAX), (("", site), WRONG_OF_ADDRESS_MAX)]
            if (account, site) not in self._known:
                bounds.append(((account, ""), WRONG_OF_ACCOUNT_MAX))
            waits = [self._wait(key, most, now) for key, most in bounds]
        if wait := max(waits):
            minutes = math.ceil(wait / 60)
            raise RequestError(
                429,
                "too_many_attempts",
                f"Too many wrong passwords. Try again in {minutes} minute{'s' if minutes > 1 else ''}.",
                retry_after_s=wait,
            )

    def wrong(self, account: str, address: str, now: datetime) -> None:
        """Note a wrong password."""
        account, site = _account(account), _site(address)
        with self._lock:
            for key in ((account, site), ("", site), (account, "")):
                self._wrong.setdefault(key, deque(maxlen=WRONG_OF_ACCOUNT_MAX)).append(now)
                self._wrong.move_to_end(key)
            while len(self._wrong) > _KEYS_MAX:
                self._wrong.popitem(last=False)

    def right(self, account: str, address: str) -> None:
        """Note that the account's owner signs in from this address."""
        key = (_account(account), _site(address))
        with self._lock:
            self._wrong.pop(key, None)
            self._known[key] = None
            self._known.move_to_end(key)
            while len(self._known) > _KNOWN_MAX:
                self._known.popitem(last=False)

    def _wait(self, key: Key, most: int, now: datetime) -> int:
        """Return the seconds until fewer than `most` are in the window."""
        times = self._wrong.get(key)
        while times and times[0] <= now - WINDOW:
            times.popleft()
        if not times:
            self._wrong.pop(key, None)
            return 0
        if len(times) < most:
            return 0
        return max(1, math.ceil((times[-most] + WINDOW - now).total_seconds()))


def _account(account: str) -> str:
    """Return what stands for an account: as short for the longest text that somebody sends as for an address."""
    return sha256(account.encode("utf-8", "replace")).hexdigest()


def _site(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == _IPV6:
        return str(ipaddress.ip_network((found, _IPV6_SITE), strict=False))
    return str(found)
