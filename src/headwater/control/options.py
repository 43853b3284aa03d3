"""What a source, destination or warehouse lets its user set: read from its `Settings` dataclass, checked against it."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import socket
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from headwater.control.database import Row
from headwater.control.models import MASKED
from headwater.control.secrets import SecretBox
from headwater.errors import HeadwaterError, InvalidRequestError

_TYPES: Final = {str: "string", bool: "boolean", int: "number", float: "number"}
_BLANK: Final = (None, "")  # no set: a setting may be a list, which has no hash
_PLACE: Final = re.compile(r"(^|_)(host|hostname|port|server|servers|brokers|account|endpoint|url|bucket)$")
_IPV6: Final = 6
_METADATA: Final = tuple(  # AWS, Azure, Google and others; AWS over IPv6; Alibaba Cloud
    map(ipaddress.ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32"))
)
_METADATA_NAMES: Final = frozenset({"metadata", "metadata.google.internal"})
_TEXT_CHARS_MAX: Final = 8_192  # ours: no address, key or certificate is longer


@dataclass(frozen=True, slots=True)
class Option:
    """One thing to set.

    Attributes:
        type: `string`, `boolean`, `number`, `array` or `map`, as Segment's catalog spells them.
        default: JSON-ready; None where there is none.
        choices: the values it may have, () where it is free.
        is_place: whether it says where the secrets are sent: a host, an account, a bucket.
        is_long: a text of several lines.
        hint: the Python type its value is converted to.
    """

    name: str
    type: str
    required: bool
    secret: bool
    label: str
    description: str
    default: Any
    hint: Any
    choices: tuple[str, ...] = ()
    is_place: bool = False
    is_long: bool = False


@lru_cache(maxsize=256)
def options(settings_class: type | None) -> tuple[Option, ...]:
    """Return what can be set, in the order of the class; () for a class that is None."""
    if settings_class is None:
        return ()
    hints = typing.get_type_hints(settings_class)
    return tuple(
        _option(field, hints[field.name])
        for field in dataclasses.fields(settings_class)
        if "label" in field.metadata  # what has no label is the program's own, not the user's
    )


def _option(field: dataclasses.Field[Any], hint: Any) -> Option:
    default: Any = None
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    return Option(
        name=field.name,
        type=_type_name(hint),
        required=not has_default and bool(field.metadata.get("required", True)),
        secret=bool(field.metadata.get("secret", False)),
        label=str(field.metadata["label"]),
        description=str(field.metadata.get("description", "")),
        default=msgspec.to_builtins(default),
        hint=hint,
        choices=tuple(typing.get_args(hint)) if typing.get_origin(hint) is typing.Literal else (),
        is_place=not field.metadata.get("secret") and bool(field.metadata.get("place", _PLACE.search(field.name))),
        is_long=bool(field.metadata.get("long", False)),
    )


def _type_name(hint: Any) -> str:
    if typing.get_origin(hint) in {types.UnionType, typing.Union}:  # `str | None` is shown as `string`
        hint = next(each for each in typing.get_args(hint) if each is not type(None))
    origin = typing.get_origin(hint) or hint
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "map"
    return _TYPES.get(origin, "array" if origin in {list, tuple, frozenset, set} else "string")


def checked(
    settings_class: type | None, given: Mapping[str, Any], stored: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the complete settings: what is given over what is stored, each value of its type.

    A secret given as `MASKED` keeps its stored value; see `keep_secrets_home`.

    Args:
        settings_class: a dataclass; None when there is nothing to set.
        given: as the request has it.
        stored: what was set before, secrets open; None at creation.

    Raises:
        InvalidRequestError: an unknown, missing, blank or mistyped member; `field` is `settings.NAME`.
    """
    known = {option.name: option for option in options(settings_class)}
    for name in given:
        if name not in known:
            names = ", ".join(known) or "none"
            raise InvalidRequestError(
                f"unknown setting {name[:60]!r}; known are: {names}", field=f"settings.{name[:60]}"
            )
    kept = {name: value for name, value in (stored or {}).items() if name in known}
    masked = {name for name, value in given.items() if known[name].secret and value == MASKED}
    merged = kept | {name: _value(known[name], value) for name, value in given.items() if name not in masked}
    for option in known.values():
        if option.required and merged.get(option.name) in _BLANK:
            raise InvalidRequestError(f"{option.label} is required", field=f"settings.{option.name}")
    _construct(settings_class, known, merged)
    return merged


def keep_secrets_home(
    settings_class: type | None,
    given: Mapping[str, Any],
    stored: Mapping[str, Any] | None,
    values: Mapping[str, Any],
) -> None:
    """Return when no stored secret would be sent to another host, account or bucket than the one it was entered for.

    Who may change the one could read the other there.

    Args:
        settings_class: of which all are.
        given: as the request has it.
        stored: what was set before, secrets open; None at creation.
        values: the complete settings that `checked` made of both.

    Raises:
        InvalidRequestError: a secret has to be entered again; `field` is `settings.NAME`.
    """
    known, kept = options(settings_class), stored or {}
    moved = [
        option
        for option in known
        if option.is_place and _place(kept.get(option.name, "")) != _place(values.get(option.name, ""))
    ]
    for option in known:
        is_kept = option.name not in given or given[option.name] == MASKED
        if moved and option.secret and kept.get(option.name) and is_kept:
            told = f"Enter {option.label} again: what is stored belongs to another {moved[0].label}"
            raise InvalidRequestError(told, field=f"settings.{option.name}")


def refuse_metadata(settings_class: type | None, values: Mapping[str, Any]) -> None:
    """Return when no setting names the address at which clouds give credentials to whoever asks from the machine.

    Other private addresses are where warehouses live.

    Raises:
        InvalidRequestError: one does; `field` is `settings.NAME`.
    """
    for option in options(settings_class):
        if option.is_place and option.type == "string" and _is_metadata(str(values.get(option.name, ""))):
            told = f"{option.label} is an address of this machine's own network only; name the server"
            raise InvalidRequestError(told, field=f"settings.{option.name}")


def _is_metadata(value: str) -> bool:
    """Tell whether a host, or the host of an address, is the metadata service's, in any spelling that dials it."""
    text = value.strip().lower()
    try:
        host = (urlsplit(text if "//" in text else f"//{text}").hostname or "").rstrip(".")
    except ValueError:
        host = text
    if host in _METADATA_NAMES:
        return True
    host = text if _is_address(text) else host
    try:
        address = ipaddress.ip_address(host if ":" in host else socket.inet_aton(host))
    except (ValueError, OSError):
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in net for net in _METADATA)


def _is_address(text: str) -> bool:
    """Tell whether a text is an IPv6 address without brackets."""
    try:
        return ipaddress.ip_address(text).version == _IPV6
    except ValueError:
        return False


def _place(value: Any) -> object:
    """Return what of a setting is a place: of an address scheme, host and port."""
    text = str(value).strip().lower()
    try:
        parts = urlsplit(text)
        origin = parts.scheme, parts.hostname, parts.port
    except ValueError:
        return text
    return origin if parts.netloc else text


def _value(option: Option, value: Any) -> Any:
    if isinstance(value, str) and len(value) > _TEXT_CHARS_MAX:
        raise InvalidRequestError(f"{option.label} is too long", field=f"settings.{option.name}")
    if option.choices and value not in option.choices:
        choices = ", ".join(option.choices)
        raise InvalidRequestError(f"{option.label} is one of {choices}", field=f"settings.{option.name}")
    try:
        return msgspec.to_builtins(msgspec.convert(value, option.hint))
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"{option.label}: {error}", field=f"settings.{option.name}") from None


def _construct(settings_class: type | None, known: Mapping[str, Option], merged: Mapping[str, Any]) -> None:
    """Build the settings once, so that the class's own checks speak now and not at the first delivery."""
    if settings_class is None:
        return
    try:
        settings_class(**{name: msgspec.convert(value, known[name].hint) for name, value in merged.items()})
    except InvalidRequestError:
        raise
    except (ValueError, TypeError, HeadwaterError) as error:
        raise InvalidRequestError(str(error), field="settings") from error


def sealed(settings_class: type | None, row_id: str, settings: Mapping[str, Any], box: SecretBox) -> str:
    """Return the settings as their column keeps them: JSON, each secret sealed for this row."""
    secret = _secret_names(settings_class)
    row = {
        name: box.seal(row_id, name, msgspec.json.encode(value).decode()) if name in secret and value else value
        for name, value in settings.items()
    }
    return msgspec.json.encode(row).decode()


def opened(settings_class: type | None, row_id: str, stored: str, box: SecretBox) -> dict[str, Any]:
    """Return stored settings with their secrets open: for the engines and nothing that is shown."""
    secret = _secret_names(settings_class)
    return {
        name: msgspec.json.decode(box.open(row_id, name, value)) if name in secret and value else value
        for name, value in _object(stored).items()
    }


def masked(settings_class: type | None, stored: str) -> dict[str, Any]:
    """Return stored settings as they may be shown."""
    secret = _secret_names(settings_class)
    return {name: MASKED if name in secret and value else value for name, value in _object(stored).items()}


def read(settings_class: type | None, row: Row, box: SecretBox, *, reveal: bool) -> dict[str, Any]:
    """Return the settings of a stored row: open for the engines, masked for whatever is shown."""
    if reveal:
        return opened(settings_class, row.id, row.settings, box)
    return masked(settings_class, row.settings)


def _secret_names(settings_class: type | None) -> set[str]:
    return {option.name for option in options(settings_class) if option.secret}


def _object(stored: str) -> dict[str, Any]:
    return msgspec.json.decode(stored, type=dict[str, Any])
