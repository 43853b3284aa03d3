"""Take from this process whatever it does not need to run somebody's code: files, sockets, processes, privileges.

What the system does not permit is left out: the interpreter itself gives no way to any of it, this is the second wall.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_NOBODY: Final = 65534
_CPU_S: Final = 1_800  # ours: twice what a process lives, so that only a runaway reaches it
_FILES: Final = 3  # the pipe's two ends and the null device are open; nothing more can be opened

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_SIGKILL: Final = 9


def confine(memory_bytes: int) -> None:
    """Give everything up; afterwards nothing can be opened, connected, started or regained.

    Args:
        memory_bytes: what the process may take beyond what it has now.
    """
    is_root = os.geteuid() == 0
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.unshare(_CLONE_NEWNET if is_root else _CLONE_NEWUSER | _CLONE_NEWNET)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CPU, _CPU_S)
    _limit(resource.RLIMIT_AS, _taken() + memory_bytes)
    if is_root:
        with suppress(OSError):
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
    if sys.platform == "linux":  # after the user changed, which clears both
        libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_NOFILE, _FILES)


def _limit(which: int, most: int) -> None:
    with suppress(OSError, ValueError):
        resource.setrlimit(which, (most, most))


def _taken() -> int:
    """Return the bytes of address space in use; without /proc, what a process like this has at most."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return 1024 * 1024 * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")
