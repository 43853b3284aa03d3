"""Where an account's API is: whatever form of its address somebody pasted.

The host is never made up from the account's name, and neither of its two hosts (the one people log in to and the
one of the API) is turned into the other: which API host an account has is for ActiveCampaign to say, and both answer.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import SplitResult, urlsplit

from headwater.errors import InvalidRequestError

FIELD: Final = "accountUrl"

_EXAMPLE: Final = "https://your-account.api-us1.com"
_WHERE: Final = f"copy the API URL from ActiveCampaign's Settings, Developer; it looks like {_EXAMPLE}"

_WRAPPING: Final = " \t\r\n\u00a0\u200b\ufeff<>\"'`"  # what a paste brings along
_UNSAFE: Final = re.compile(r"[\s\x00-\x1f\x7f\\]")
_API_PATH: Final = re.compile(r"/*(?:api(?:/+3)?|admin(?:/+api\.php)?)?/*", re.IGNORECASE)
_OF_THE_SERVICE: Final = re.compile(r"([^.]+)\.(?:activehosted\.com|api-[a-z0-9-]+\.com)")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_HOST_CHARS_MAX: Final = 253  # DNS
_HTTPS_PORT: Final = 443
_HTTP_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class Address:
    """An account's API.

    Attributes:
        base: such as "https://acme.api-us1.com", without a path and without a slash at the end.
        name: the account's own name, "acme"; the whole host where it is not one of ActiveCampaign's.
    """

    base: str
    name: str


def normalised(text: str) -> Address:
    """Return the address that somebody meant, with or without scheme, API path, capitals and spaces around it.

    Raises:
        InvalidRequestError: it is none, or the key would travel in plain text; `field` is "accountUrl".
    """
    given = text.strip(_WRAPPING)
    if not given:
        _refuse(f"The account URL is missing: {_WHERE}.")
    if _UNSAFE.search(given):
        _refuse("The account URL holds a space or a backslash; remove it.")
    parts, port = _parts(given)
    if "@" in parts.netloc:
        _refuse("The account URL holds a user name or password; give the key in its own field and only the host here.")
    if parts.query or parts.fragment or given.endswith(("?", "#")):
        _refuse(f"The account URL ends in a query or fragment; give it up to the host only, as {_EXAMPLE}.")
    host = _host(parts.hostname or "")
    service = _OF_THE_SERVICE.fullmatch(host)
    if not service and not _API_PATH.fullmatch(parts.path):
        _refuse(f"The account URL has a path that is not the API's; give it up to the host only, as {_EXAMPLE}.")
    if parts.scheme == "http" and not _is_loopback(host):
        _refuse("The account URL begins with http://, so the key would travel unencrypted; begin it with https://.")
    usual = _HTTPS_PORT if parts.scheme == "https" else _HTTP_PORT
    shown = f"[{host}]" if ":" in host else host
    base = f"{parts.scheme}://{shown}" + ("" if port in {None, usual} else f":{port}")
    return Address(base, service[1] if service else host)


def _parts(given: str) -> tuple[SplitResult, int | None]:
    """Return the parts of what was given, and its port; `scheme` is http or https."""
    full = given if re.match(r"[a-z][a-z0-9+.-]*://", given, re.IGNORECASE) else f"https://{given.lstrip('/')}"
    try:
        parts = urlsplit(full)
        port = parts.port
    except ValueError:
        _refuse(f"The account URL's host or port is malformed: {_WHERE}.")
    if parts.scheme not in {"http", "https"}:
        _refuse(f"The account URL must begin with https://: {_WHERE}.")
    if port == 0:
        _refuse("The account URL's port is 0; leave it out.")
    return parts, port


def _host(given: str) -> str:
    """Return a host as lower-case ASCII without a dot at its end, an address without brackets."""
    if ":" in given:
        return _checked_ipv6(given)
    name = unicodedata.normalize("NFKC", given).lower().removesuffix(".")
    try:
        # one conversion for every name: what the resolver will be asked for is what is stored and shown
        name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        _refuse(f"The account URL's host is not a valid name: {_WHERE}.")
    labels = name.split(".")
    if len(name) > _HOST_CHARS_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        _refuse(f"The account URL's host is not a valid name: {_WHERE}.")
    if len(labels) == 1 and not _is_loopback(name):
        _refuse(f"This is a name and no URL, and the URL cannot be told from the account's name: {_WHERE}.")
    if labels[-1].isdecimal() or labels[-1].startswith("0x"):
        return _checked_ipv4(name)
    return name


def _checked_ipv4(name: str) -> str:
    try:
        return str(ipaddress.IPv4Address(name))
    except ValueError:
        _refuse("The account URL's host looks like a number; write an address as four decimal numbers.")


def _checked_ipv6(given: str) -> str:
    try:
        address = ipaddress.IPv6Address(given)
    except ValueError:
        _refuse("The account URL's host is not a valid IPv6 address.")
    if address.scope_id is not None:
        _refuse("The account URL's host is an address with a scope; give a name.")
    return address.compressed


def _is_loopback(host: str) -> bool:
    """Say whether a call stays on this machine: there alone plain http is harmless (the simulator)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(message: str) -> NoReturn:
    raise InvalidRequestError(message, field=FIELD) from None
