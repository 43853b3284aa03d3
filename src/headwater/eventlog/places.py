"""Where a log's files lie and what they are called; who may write them."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from headwater.errors import ConfigError

SEGMENT_SUFFIX: Final = ".segment"
ASIDE_SUFFIX: Final = ".aside"  # a segment that is being written anew: nobody reads it, a start removes it
LOCK_FILE: Final = "lock"
NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DIGITS: Final = 20


def segment_path(directory: Path, first_seq: int) -> Path:
    """Return the file that begins with a sequence; names sort as the sequences do."""
    return directory / f"{first_seq:0{_DIGITS}}{SEGMENT_SUFFIX}"


def segments(directory: Path) -> list[int]:
    """Return the first sequence of each segment in a topic's directory, ascending."""
    return sorted(int(path.stem) for path in directory.iterdir() if path.suffix == SEGMENT_SUFFIX)


def sync_directory(directory: Path) -> None:
    """Return once the names in a directory are on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class WriterLock:
    """The right to write a log, held by one process; it ends with the process, the file left behind is harmless."""

    def __init__(self, directory: Path) -> None:
        """Take the lock at once or not at all.

        Raises:
            ConfigError: another process writes this log; named with its pid.
        """
        self._descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
            raise ConfigError(
                f"The event log in {directory} is written by another process (pid {holder}). "
                "Stop that one first, or choose another --data-dir."
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Give the right back."""
        os.close(self._descriptor)
