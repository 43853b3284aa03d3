"""The installation's keys: the present SECRET_KEY, and former ones that still open what is not sealed anew yet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from headwater import config
from headwater.config import Settings
from headwater.errors import ConfigError


class Keyring:
    """Keys in memory that follow their file: a rotation reaches every process at the next use of a key.

    Args:
        read: returns the keys, the present one first.
        stamp: returns what changes whenever the keys may have changed; it is asked at each use.
        path: their file; None where they come from the environment.
    """

    def __init__(
        self, read: Callable[[], tuple[bytes, ...]], stamp: Callable[[], object], path: Path | None = None
    ) -> None:
        self._read, self._stamp, self.path = read, stamp, path
        self._lock = threading.Lock()
        self._seen: object = object()
        self._keys: tuple[bytes, ...] = ()

    @property
    def all(self) -> tuple[bytes, ...]:
        """The keys as they are now, the present one first.

        Raises:
            ConfigError: the file is gone or cut, and no key was read before.
        """
        with self._lock:
            stamp = self._stamp()
            if stamp != self._seen:
                try:
                    self._keys, self._seen = self._read(), stamp
                except ConfigError:
                    if not self._keys:
                        raise
            return self._keys

    @property
    def present(self) -> bytes:
        """The key that seals."""
        return self.all[0]


_FIXED: Final = object()


def fixed(*keys: bytes) -> Keyring:
    """Return a ring whose keys never change, the present one first."""
    return Keyring(lambda: keys, lambda: _FIXED)


def ring_of(settings: Settings) -> Keyring:
    """Return the installation's ring, which follows its file.

    Raises:
        ConfigError: as `config.secret_keys`.
    """
    path = config.key_path(settings)
    if path is None:
        return fixed(*config.secret_keys(settings))

    def stamp() -> object:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    ring = Keyring(lambda: config.secret_keys(settings), stamp, path)
    assert ring.all  # noqa: S101 - read at once: what is wrong with the file is told at the start
    return ring
