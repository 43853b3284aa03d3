"""The newest part of something that is kept elsewhere: a bounded map that drops what was not asked for the longest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Usable from any thread.

    What was read from the origin is put in with the `state` from before the reading: if something was changed
    meanwhile, it may be old and is left out.
    """

    def __init__(self, most: int) -> None:
        """Take how many entries are held."""
        self._most = most
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()
        self._state = 0

    @property
    def state(self) -> int:
        """A number that changes with every change of the origin."""
        return self._state

    def get(self, key: K) -> V | None:
        """Return an entry, None when it is not held."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def read(self, found: Mapping[K, V], state: int) -> None:
        """Hold what was read from the origin, unless it was changed since `state`."""
        with self._lock:
            if state == self._state:
                self._hold(found)

    def changed(self, entries: Mapping[K, V]) -> None:
        """Hold what was just written to the origin."""
        with self._lock:
            self._state += 1
            self._hold(entries)

    def renewed(self, entries: Mapping[K, V]) -> None:
        """Correct those that are held: all of them were just written to the origin, more than anybody asked for."""
        with self._lock:
            self._state += 1
            for key in entries.keys() & self._entries.keys():
                self._entries[key] = entries[key]

    def drop(self, keys: Iterable[K]) -> None:
        """Hold these no longer: the origin has something else now."""
        with self._lock:
            self._state += 1
            for key in keys:
                self._entries.pop(key, None)

    def clear(self) -> None:
        """Hold nothing."""
        with self._lock:
            self._state += 1
            self._entries.clear()

    def _hold(self, entries: Mapping[K, V]) -> None:
        for key, value in entries.items():
            self._entries[key] = value
            self._entries.move_to_end(key)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)
