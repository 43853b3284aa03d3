"""Settings: `headwater.toml` in the data directory, then `HEADWATER_*`, then flags; the later wins.

Read once, by the command that starts the program. All mistakes are shown together, each with a value that works.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from headwater.errors import ConfigError
from headwater.limits import DISK_FREE_BYTES_MIN, MIB

PREFIX: Final = "HEADWATER_"
FILE: Final = "headwater.toml"
DATA_DIR: Final = Path("headwater-data")
REGIONS: Final = ("us", "eu")
_CLIENT_ONLY: Final = frozenset(
    {"URL", "TOKEN", "ACTIVECAMPAIGN_API_KEY"}
)  # read by the commands that talk to a server
_PORT_MAX: Final = 65_535
_KEY_BYTES_MIN: Final = 16

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Secret:
    """A value that prints as `***`; `reveal()` gives it to the one place that needs it."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "***"

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of the service, checked. The name in the environment is `HEADWATER_` and the field's name."""

    data_dir: Path = DATA_DIR
    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str = ""
    log_url: str = "file:"
    database_url: str = ""
    secret_key: Secret | None = None
    region: str = "us"
    source_regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unknown_write_key: str = "reject"
    retention_days: int = 365
    dedupe_days: int = 365
    disk_free_mb: int = DISK_FREE_BYTES_MIN // MIB
    load_every_s: float = 1.0
    allow_networks: tuple[Network, ...] = ()
    files_dirs: tuple[Path, ...] = ()
    log_level: str = "info"

    @property
    def log_dir(self) -> Path:
        """Where the event log lies."""
        return self.data_dir / "log"

    @property
    def state_dir(self) -> Path:
        """Where the processes keep their own databases."""
        return self.data_dir / "state"

    @property
    def control_url(self) -> str:
        """Where the control database is: SQLite in the data directory unless `DATABASE_URL` says otherwise."""
        return self.database_url or f"sqlite:///{self.data_dir / 'control.db'}"

    @property
    def url(self) -> str:
        """The address this server has for people and tools on the same machine."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{'127.0.0.1' if self.host in {'0.0.0.0', '::'} else host}:{self.port}"  # noqa: S104 - compared


def read(
    flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None, *, client: bool = False
) -> Settings:
    """Return the settings of this start.

    Args:
        flags: what the command line said, by field name; None values count as unset.
        environment: stands in for `os.environ`.
        client: tolerate what only matters to a server.

    Raises:
        ConfigError: one line for each mistake.
    """
    surroundings = os.environ if environment is None else environment
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    named = {key.removeprefix(PREFIX): value for key, value in surroundings.items() if key.startswith(PREFIX)}
    data_dir = Path(given.get("data_dir") or named.get("DATA_DIR") or DATA_DIR)
    merged: dict[str, Any] = {"data_dir": str(data_dir)}
    mistakes: list[str] = []
    _merge(merged, _file(data_dir / FILE, mistakes), "in headwater.toml", mistakes)
    _merge(merged, {k.lower(): v for k, v in named.items() if k not in _CLIENT_ONLY}, "in the environment", mistakes)
    merged.update({name: str(value) for name, value in given.items()})
    values = {name: _value(name, text, mistakes) for name, text in merged.items()}
    if mistakes and not client:
        raise ConfigError("\n".join(mistakes))
    return Settings(**{name: value for name, value in values.items() if value is not None})


def secret_key(settings: Settings) -> bytes:
    """Return the installation's secret; made on first start, in a file that only its owner can read.

    Raises:
        ConfigError: the file is empty, cut or readable by others, or the data directory cannot be used.
    """
    if settings.secret_key is not None:
        return settings.secret_key.reveal().encode()
    path = settings.data_dir / "secret.key"
    try:
        if not path.exists():
            _make_secret(path)
        is_open = path.stat().st_mode & 0o077
        key = path.read_text().strip().encode()
    except OSError as error:
        message = f"The data directory {settings.data_dir} cannot be used ({error.strerror}); choose another."
        raise ConfigError(message) from error
    if is_open:
        raise ConfigError(f"{path} can be read by others: chmod 600 {path}")
    if len(key) < _KEY_BYTES_MIN:
        raise ConfigError(f"{path} is cut: restore it from a backup, stored secrets cannot be read without it.")
    return key


def _make_secret(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = secrets.token_urlsafe(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(made)
        file.flush()
        os.fsync(file.fileno())


def _file(path: Path, mistakes: list[str]) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        content = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        mistakes.append(f"{path.name} is not valid TOML: {error}")
        return {}
    return {name.lower(): value if isinstance(value, str) else str(value).lower() for name, value in content.items()}


def _merge(merged: dict[str, Any], found: Mapping[str, str], where: str, mistakes: list[str]) -> None:
    known = {each.name for each in fields(Settings)}
    for name, text in found.items():
        if name in known:
            merged[name] = text
        else:
            mistakes.append(f"Unknown setting {name.upper()} {where}; known are {', '.join(sorted(known)).upper()}.")


def _value(name: str, text: str, mistakes: list[str]) -> Any:
    try:
        return _PARSERS.get(name, str)(text)
    except ValueError as error:
        mistakes.append(f"{name.upper()}={text!r} is wrong: {error}")
        return None


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"use one of {', '.join(allowed)}")
        return text

    return parse


def _number(least: int, most: int, example: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"use a whole number from {least} to {most}, such as {example}")
        return int(text)

    return parse


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0.1 <= seconds <= 86_400:  # noqa: PLR2004 - a tenth of a second to a day
        raise ValueError("use seconds from 0.1 to 86400, such as 2")
    return seconds


def _web_address(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        raise ValueError("use an address such as https://events.example.com")
    return text.rstrip("/")


def _log_url(text: str) -> str:
    if text != "file:":
        raise ValueError("this version keeps the log in the data directory; use file:")
    return text


def _database_url(text: str) -> str:
    if text and not text.startswith("sqlite:"):
        raise ValueError(
            "this version keeps its configuration in SQLite; use sqlite:////path/control.db or leave it out"
        )
    return text


def _regions(text: str) -> dict[str, tuple[str, ...]]:
    """`activecampaign=us,eu;other=eu` as {slug: regions}."""
    widened = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        slug, _, names = part.partition("=")
        regions = tuple(name.strip() for name in names.split(","))
        if not slug.strip() or not set(regions) <= set(REGIONS):
            raise ValueError('use the form "activecampaign=us,eu"')
        widened[slug.strip()] = regions
    return widened


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("use networks such as 10.0.0.0/8,192.168.1.0/24") from None


def _directories(text: str) -> tuple[Path, ...]:
    paths = tuple(Path(part.strip()) for part in text.split(",") if part.strip())
    if not all(path.is_absolute() and path != Path(path.anchor) for path in paths):
        raise ValueError("use whole paths of directories such as /srv/events,/mnt/archive")
    return paths


_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "data_dir": lambda text: Path(text).absolute(),
    "port": _number(0, _PORT_MAX, 8080),
    "public_url": _web_address,
    "log_url": _log_url,
    "database_url": _database_url,
    "secret_key": Secret,
    "region": _choice(*REGIONS),
    "source_regions": _regions,
    "unknown_write_key": _choice("reject", "accept"),
    "retention_days": _number(1, 36_500, 365),
    "dedupe_days": _number(1, 36_500, 365),
    "disk_free_mb": _number(0, 1_000_000, 512),
    "load_every_s": _seconds,
    "allow_networks": _networks,
    "files_dirs": _directories,
    "log_level": _choice("debug", "info", "warning", "error"),
}
