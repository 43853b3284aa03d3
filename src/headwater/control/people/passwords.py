"""Passwords: which are taken, and how they are kept (argon2id, as OWASP's Password Storage Cheat Sheet advises)."""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from headwater.errors import InvalidRequestError

CHARS_MIN: Final = 8  # NIST SP 800-63B, memorized secrets
BYTES_MAX: Final = 1_024  # ours: what is hashed is bounded, and no phrase that somebody types is longer
_KIB: Final = 19 * 1024  # OWASP Password Storage Cheat Sheet: argon2id, 19 MiB, t=2, p=1
_PASSES: Final = 2
_LANES: Final = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password was right, and whether its hash was made with other parameters than today's."""

    is_right: bool
    is_outdated: bool = False


class Passwords:
    """Hashes and compares; each call takes tens of milliseconds and 19 MiB, so callers bound how many run at once.

    Args:
        kib, passes: argon2's memory and time; tests take less.
    """

    def __init__(self, kib: int = _KIB, passes: int = _PASSES) -> None:
        self._hasher = PasswordHasher(passes, kib, _LANES, type=Type.ID)

    def hashed(self, password: str) -> str:
        """Return what is stored of a password."""
        return self._hasher.hash(_bytes(password))

    def compare(self, stored: str | None, password: str) -> Verdict:
        """Return whether a password is the stored one; where none is stored it takes as long, and is wrong."""
        if not password or len(password.encode("utf-8", "replace")) > BYTES_MAX:
            return Verdict(is_right=False)
        try:
            self._hasher.verify(self._nobodys if stored is None else stored, _bytes(password))
        except (VerificationError, InvalidHashError):
            return Verdict(is_right=False)
        if stored is None:
            return Verdict(is_right=False)
        return Verdict(is_right=True, is_outdated=self._hasher.check_needs_rehash(stored))

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(secrets.token_bytes(32))


def checked(password: str, email: str, name: str, field: str = "password") -> str:
    """Return a password that somebody may have.

    Any characters, and no rules on their kinds (NIST SP 800-63B): length, and that nobody guesses it first.

    Args:
        password: as typed.
        email: of whoever will have it.
        name: theirs.
        field: what a refusal names.

    Raises:
        InvalidRequestError: it is short, far too long, among those that are guessed first, or the person's own data.
    """
    if len(unicodedata.normalize("NFC", password)) < CHARS_MIN:
        raise InvalidRequestError(f"A password has at least {CHARS_MIN} characters.", field=field)
    if len(password.encode("utf-8", "replace")) > BYTES_MAX:
        raise InvalidRequestError(f"A password has at most {BYTES_MAX:,} bytes.", field=field)
    plain = password.strip().casefold()
    if plain in {email.casefold(), email.partition("@")[0].casefold(), name.strip().casefold()}:
        raise InvalidRequestError("Your name or e-mail address is no password; choose another.", field=field)
    if _is_common(plain):
        raise InvalidRequestError(
            "This password is one of the most common, which are tried first; choose another.", field=field
        )
    return password


def _is_common(plain: str) -> bool:
    # Imported where somebody sets a password: the lists take 14 MB, which no other process should pay.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]  # noqa: PLC0415

    return any(plain in words for words in FREQUENCY_LISTS.values())


def _bytes(password: str) -> bytes:
    """Return what is hashed: composed, so that a password is the same from every keyboard (NIST SP 800-63B)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "replace")
