"""Stored secrets: sealed with AES-GCM, bound to the row and field they belong to, never given out by the API."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from headwater.errors import ConfigError

_NONCE_BYTES: Final = 12  # NIST SP 800-38D: 96 bits
_KEY_BYTES: Final = 32
_VERSION: Final = "v1"


def derived_key(secret_key: bytes, purpose: str) -> bytes:
    """Return 32 bytes for one purpose: what leaks of one tells nothing about another or about SECRET_KEY."""
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"headwater {purpose}".encode()).derive(secret_key)


class SecretBox:
    """Seals and opens secrets with a key derived from SECRET_KEY."""

    def __init__(self, secret_key: bytes) -> None:
        key = derived_key(secret_key, "stored secrets")
        self._aes = AESGCM(key)
        self._key_id = hashlib.sha256(key).hexdigest()[:8]

    def seal(self, row_id: str, field: str, secret: str) -> str:
        """Return `secret` as text that only this key opens, and only for this row and field."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._aes.encrypt(nonce, secret.encode(), self._context(row_id, field))
        return f"{_VERSION}:{self._key_id}:{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, row_id: str, field: str, sealed: str) -> str:
        """Return the secret.

        Raises:
            ConfigError: it was sealed with another SECRET_KEY, or its text was changed or moved here from another row.
        """
        version, _, rest = sealed.partition(":")
        key_id, _, text = rest.partition(":")
        if version != _VERSION or key_id != self._key_id:
            raise ConfigError(
                f"Stored secrets were sealed with another SECRET_KEY (key {key_id}, this is {self._key_id}); "
                "restore the SECRET_KEY or secret.key that belongs to this database."
            )
        try:
            raw = base64.urlsafe_b64decode(text)
            return self._aes.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], self._context(row_id, field)).decode()
        except (InvalidTag, ValueError) as error:
            raise ConfigError(
                f"The stored secret {field} of {row_id} was altered; set it again or restore the database."
            ) from error

    def _context(self, row_id: str, field: str) -> bytes:
        return f"{self._key_id}:{row_id}:{field}".encode()
