"""Settings: `headwater.toml` in the data directory, then `HEADWATER_*`, then flags; the later wins.

Read once, by the command that starts the program. All mistakes are shown together, each with a value that works.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import tomllib
from collections.abc import Callable, Mapping, Sequence
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
_OIDC: Final = ("oidc_issuer", "oidc_client_id", "oidc_client_secret")  # all of them or none
_KEY_BYTES_MIN: Final = 16

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK: Final[tuple[Network, ...]] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))


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
    secret_key_former: Secret | None = None
    secret_key_file: Path | None = None
    region: str = "us"
    source_regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unknown_write_key: str = "reject"
    retention_days: int = 365
    dedupe_days: int = 365
    disk_free_mb: int = DISK_FREE_BYTES_MIN // MIB
    load_every_s: float = 1.0
    api_requests_per_s: int = 50
    allow_networks: tuple[Network, ...] = ()
    trusted_proxies: tuple[Network, ...] = LOOPBACK
    files_dirs: tuple[Path, ...] = ()
    smtp_url: Secret | None = None
    mail_from: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: Secret | None = None
    oidc_allowed_domains: tuple[str, ...] = ()
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
    missing = [name.upper() for name in _OIDC if not values.get(name)]
    if 0 < len(missing) < len(_OIDC):
        mistakes.append(f"Sign-in through a provider needs {', '.join(missing)}, too; or leave all of OIDC_* out.")
    if mistakes and not client:
        raise ConfigError("\n".join(mistakes))
    return Settings(**{name: value for name, value in values.items() if value is not None})


def secret_key(settings: Settings) -> bytes:
    """Return the installation's present secret; see `secret_keys`."""
    return secret_keys(settings)[0]


def secret_keys(settings: Settings) -> tuple[bytes, ...]:
    """Return the installation's secrets, the present one first, then those that it had before.

    On first start one is made, in a file that only its owner can read; the file has a line for each.

    Raises:
        ConfigError: the file is empty, cut, gone or readable by others, or the data directory cannot be used.
    """
    path = key_path(settings)
    if path is None:
        given = (settings.secret_key, *([settings.secret_key_former] if settings.secret_key_former else []))
        return tuple(each.reveal().encode() for each in given if each is not None)
    try:
        if not path.exists():
            _refuse_a_second(settings, path)
            write_keys(path, [secrets.token_urlsafe(32).encode()])
        is_open = path.stat().st_mode & 0o077
        keys = tuple(line.strip() for line in path.read_bytes().splitlines() if line.strip())
    except OSError as error:
        where = path.parent if settings.secret_key_file else f"The data directory {settings.data_dir}"
        raise ConfigError(f"{where} cannot be used ({error.strerror}); choose another.") from error
    if is_open:
        raise ConfigError(f"{path} can be read by others: chmod 600 {path}")
    if not keys or any(len(key) < _KEY_BYTES_MIN for key in keys):
        raise ConfigError(f"{path} is cut: restore it from a backup, stored secrets cannot be read without it.")
    return keys


def key_path(settings: Settings) -> Path | None:
    """Return the file that the keys are in; None where SECRET_KEY holds the key itself.

    Raises:
        ConfigError: both are given.
    """
    if settings.secret_key is None:
        return settings.secret_key_file or settings.data_dir / "secret.key"
    if settings.secret_key_file is not None:
        raise ConfigError("SECRET_KEY and SECRET_KEY_FILE are both set; keep one of them.")
    return None


def write_keys(path: Path, keys: Sequence[bytes]) -> None:
    """Put keys into their file, one a line, the present one first; whenever it is cut short, the file is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"\n".join(keys) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            with contextlib.suppress(FileExistsError):  # another process made it at the same moment
                os.link(aside, path)
        else:
            aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _refuse_a_second(settings: Settings, path: Path) -> None:
    """Return when a key may be made: not beside a database whose secrets another one has sealed."""
    if settings.database_url or not (settings.data_dir / "control.db").exists():
        return
    raise ConfigError(
        f"{path} is not there, but a control database is: restore the file from your copy, or name it with "
        "SECRET_KEY_FILE; stored secrets cannot be read without it."
    )


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


def _issuer(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        raise ValueError("use the address by which the provider calls itself, such as https://login.example.com")
    return text


def _domains(text: str) -> tuple[str, ...]:
    found = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not all("." in part and "@" not in part and "*" not in part for part in found):
        raise ValueError("use domains such as example.com,example.org")
    return found


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
    "secret_key_former": Secret,
    "secret_key_file": lambda text: Path(text).absolute(),
    "region": _choice(*REGIONS),
    "source_regions": _regions,
    "unknown_write_key": _choice("reject", "accept"),
    "retention_days": _number(1, 36_500, 365),
    "dedupe_days": _number(1, 36_500, 365),
    "disk_free_mb": _number(0, 1_000_000, 512),
    "load_every_s": _seconds,
    "api_requests_per_s": _number(1, 10_000, 50),
    "allow_networks": _networks,
    "trusted_proxies": _networks,
    "files_dirs": _directories,
    "smtp_url": Secret,
    "oidc_issuer": _issuer,
    "oidc_client_secret": Secret,
    "oidc_allowed_domains": _domains,
    "log_level": _choice("debug", "info", "warning", "error"),
}
