"""Stored secrets: sealed with AES-GCM, bound to the row and field they belong to, never given out by the API."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from headwater.control.keyring import Keyring, fixed
from headwater.errors import ConfigError

_NONCE_BYTES: Final = 12  # NIST SP 800-38D: 96 bits
_KEY_BYTES: Final = 32
_VERSION: Final = "v1"
_KEYS_MAX: Final = 16  # ours: derived keys kept in memory; a ring has two while it is rotated

SEALED: Final = re.compile(r"v1:(?P<key_id>[0-9a-f]{8}):[A-Za-z0-9_-]{38,}={0,2}")
"""How a sealed text looks: version, key id, nonce with ciphertext and tag (28 bytes at least) as base64url."""


def derived_key(secret_key: bytes, purpose: str) -> bytes:
    """Return 32 bytes for one purpose: what leaks of one tells nothing about another or about SECRET_KEY."""
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"headwater {purpose}".encode()).derive(secret_key)


@lru_cache(maxsize=_KEYS_MAX)
def _cipher(secret_key: bytes) -> tuple[str, AESGCM]:
    key = derived_key(secret_key, "stored secrets")
    return hashlib.sha256(key).hexdigest()[:8], AESGCM(key)


def key_id_of(secret_key: bytes) -> str:
    """Return the name of a key that stands in what it sealed; it tells nothing about the key."""
    return _cipher(secret_key)[0]


class SecretBox:
    """Seals secrets with a key derived from the present SECRET_KEY, and opens those of the former ones, too."""

    def __init__(self, keys: Keyring | bytes) -> None:
        self._ring = fixed(keys) if isinstance(keys, bytes) else keys

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Return the ids of the keys there are, the present one first."""
        return tuple(map(key_id_of, self._ring.all))

    def seal(self, row_id: str, field: str, secret: str) -> str:
        """Return `secret` as text that only this key opens, and only for this row and field."""
        key_id, aes = _cipher(self._ring.present)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = aes.encrypt(nonce, secret.encode(), _context(key_id, row_id, field))
        return f"{_VERSION}:{key_id}:{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, row_id: str, field: str, sealed: str) -> str:
        """Return the secret.

        Raises:
            ConfigError: it was sealed with another SECRET_KEY, or its text was changed or moved here from another row.
        """
        version, _, rest = sealed.partition(":")
        key_id, _, text = rest.partition(":")
        ciphers = dict(map(_cipher, self._ring.all))
        if version != _VERSION or key_id not in ciphers:
            raise ConfigError(
                f"Stored secrets were sealed with another SECRET_KEY (key {key_id[:8]}, here is {', '.join(ciphers)}); "
                "restore the SECRET_KEY or secret.key that belongs to this database."
            )
        try:
            raw = base64.urlsafe_b64decode(text)
            return (
                ciphers[key_id]
                .decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _context(key_id, row_id, field))
                .decode()
            )
        except (InvalidTag, ValueError) as error:
            raise ConfigError(
                f"The stored secret {field} of {row_id} was altered; set it again or restore the database."
            ) from error

    def opened_in(self, row_id: str, column: str, text: str) -> str:
        """Return what a column holds with its secrets open, to compare it; see `replaced`.

        Raises:
            ConfigError: as `open`.
        """
        return replaced(column, text, lambda field, sealed: self.open(row_id, field, sealed))

    def sealed_anew(self, row_id: str, column: str, text: str) -> str:
        """Return what a column holds with its secrets under the present key.

        Those that are already stay, and so do those whose key is not in the ring: nobody can open them.

        Raises:
            ConfigError: as `open`.
        """
        present, *former = map(key_id_of, self._ring.all)

        def anew(field: str, sealed: str) -> str:
            key_id = sealed.split(":")[1]
            is_former = key_id != present and key_id in former
            return self.seal(row_id, field, self.open(row_id, field, sealed)) if is_former else sealed

        return replaced(column, text, anew)


def replaced(column: str, text: str, replace: Callable[[str, str], str]) -> str:
    """Return what a column holds with each sealed text replaced.

    A sealed text is the whole column, and its field the column's name; or a member of the JSON object that the column
    holds, and its field the member's name. It belongs to the row's `id`. All tables keep secrets so.

    Args:
        column: its name.
        text: what it holds.
        replace: (field, sealed) -> what stands there instead.
    """
    if SEALED.fullmatch(text):
        return replace(column, text)
    if not text.startswith("{") or not SEALED.search(text):
        return text
    try:
        members = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:  # no JSON: a text of the user's
        return text
    sealed = {name: value for name, value in members.items() if isinstance(value, str) and SEALED.fullmatch(value)}
    if not sealed:
        return text
    return msgspec.json.encode(members | {name: replace(name, value) for name, value in sealed.items()}).decode()


def _context(key_id: str, row_id: str, field: str) -> bytes:
    return f"{key_id}:{row_id}:{field}".encode()
