"""What a user fills in to connect a PostgreSQL database; nothing else reaches the driver."""

from __future__ import annotations

import os
import re
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from headwater.errors import ConfigError
from headwater.warehouses._lanes.forms import setting

_PORT_MAX: Final = 65_535
# A path would be a socket file, a comma a list, `@` an abstract socket, `=` a parameter: only one host is meant.
_HOST: Final = re.compile(r"[\w.:%\[\]-]{1,255}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the database is and who loads; `reader_user` is who answers queries."""

    host: str = field(metadata=setting("Host", "Name or address of the server.", required=True))
    database: str = field(metadata=setting("Database", "Its name. It must be in UTF8.", required=True))
    user: str = field(metadata=setting("User", "Who loads: needs CREATE and TEMPORARY on it.", required=True))
    password: str = field(default="", repr=False, metadata=setting("Password", "Of this user.", secret=True))
    port: int = field(default=5432, metadata=setting("Port", "Usually 5432; not that of a pool of transactions."))
    sslmode: Literal["verify-full", "require", "disable"] = field(
        default="verify-full",
        metadata=setting("TLS", "verify-full, require (checks no certificate) or disable."),
    )
    ca_certificate: str = field(
        default="",
        metadata=setting("CA certificate", "PEM; where the server's is not from a public authority.", is_long=True),
    )
    reader_user: str = field(
        default="",
        metadata=setting("Reader", "A user that may only read, for queries; empty: the one who loads."),
    )
    reader_password: str = field(
        default="", repr=False, metadata=setting("Reader's password", "Of that user.", secret=True)
    )

    def __post_init__(self) -> None:
        """Let the settings only mean one server, one database and one user.

        Raises:
            ConfigError: names the setting.
        """
        if not _HOST.fullmatch(self.host):
            raise ConfigError("The host must be one name or one address, such as db.example.com.")
        for label, text in (("database", self.database), ("user", self.user)):
            if not text or "\0" in text:
                raise ConfigError(f"The {label} must not be empty.")
        if not 1 <= self.port <= _PORT_MAX:
            raise ConfigError(f"The port is a number from 1 to {_PORT_MAX}, usually 5432.")


def authority(settings: Settings, home: Path) -> dict[str, str]:
    """Return libpq's parameter that says who may vouch for the server; writes the CA's certificate below `home`.

    Raises:
        OSError: it cannot be written.
    """
    if settings.sslmode != "verify-full":
        return {}
    if not settings.ca_certificate:
        return {"sslrootcert": ssl.get_default_verify_paths().cafile or "system"}
    home.mkdir(parents=True, exist_ok=True)
    path = home / "ca.pem"
    if not path.exists() or path.read_text() != settings.ca_certificate:
        descriptor, written = tempfile.mkstemp(dir=home)  # the loader and a query may write it at the same time
        with os.fdopen(descriptor, "w") as file:
            file.write(settings.ca_certificate)
        Path(written).replace(path)
    return {"sslrootcert": str(path)}
