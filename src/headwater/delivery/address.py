"""Which addresses an outgoing call may reach. Pure: names are resolved elsewhere, addresses are judged here.

`ipaddress.is_global` lets several internal ranges through (NAT64, 6to4, IPv4-compatible, multicast), hence a table of
our own.
"""

from __future__ import annotations

import ipaddress
import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlsplit

from headwater.errors import DeliveryError, ForbiddenAddressError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FORBIDDEN: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(net)
    for net in (
        # IANA special-purpose registries, and what routers or clouds keep to themselves
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16"),
        *("3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)

PORTS_SYSTEM_ALLOWED: Final = frozenset({80, 443})
PORT_USER_MIN: Final = 1024
# Services that obey whoever can send them bytes: databases, brokers, cluster and container control.
PORTS_DENIED: Final = frozenset(
    {1433, 1521, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 4369, 5432, 5672, 5900, 5984, 5985, 5986, 6000, 6379}
    | {6443, 7001, 8500, 9042, 9092, 9200, 9300, 10250, 10255, 11211, 27017}
)

_PORT_MAX: Final = 65_535
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f\\]")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC: Final = re.compile(r"\d+|0x[0-9a-f]*")
_REMEMBERED: Final = 256  # ours: addresses; every call of a connection goes to the same few
_NAME_CHARS_MAX: Final = 253


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was taken apart strictly.

    Attributes:
        host: lower-case ASCII name without a trailing dot, or an address without brackets.
        address: the same as an address where it is one.
        text: the URL put together again from its checked parts.
    """

    scheme: str
    host: str
    port: int
    address: Address | None
    text: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator allows beyond public HTTPS.

    Attributes:
        networks: private networks that destinations may reach, by http as well and on any port.
        http: plain http to public addresses.
    """

    networks: Sequence[Network] = ()
    http: bool = False

    def judge(self, address: Address, port: int, *, plain: bool) -> None:
        """Return when a connection to `address` and `port` may be made.

        Raises:
            ForbiddenAddressError: it may not; the sentence names the rule and not the address.
        """
        if self._is_private(address):
            return
        if plain and not self.http:
            raise ForbiddenAddressError("Plain http is allowed to private networks only; use https.")
        if port in PORTS_DENIED or not (port in PORTS_SYSTEM_ALLOWED or PORT_USER_MIN <= port <= _PORT_MAX):
            raise ForbiddenAddressError(
                f"Port {port} is not for web services; use 443 or another port from {PORT_USER_MIN}."
            )

    def judge_service(self, address: Address, port: int) -> None:
        """Return when a protocol other than HTTP, such as a database's or a broker's, may be spoken there.

        The ports that are denied to HTTP are these protocols' own: a peer that they do not expect ends the talk.

        Raises:
            ForbiddenAddressError: it may not; the sentence names the rule and not the address.
        """
        if not self._is_private(address) and not PORT_USER_MIN <= port <= _PORT_MAX:
            raise ForbiddenAddressError(f"Port {port} is not for such a service; use one from {PORT_USER_MIN}.")

    def _is_private(self, address: Address) -> bool:
        """Tell whether the operator allows the address's network; a forbidden one that is not allowed raises."""
        actual = unmapped(address)
        if any(actual in net for net in self.networks):
            return True
        if any(actual in net for net in FORBIDDEN):
            raise ForbiddenAddressError(
                "The address is internal or reserved; allow its network in HEADWATER_ALLOW_NETWORKS to reach it."
            )
        return False


def unmapped(address: Address) -> Address:
    """Return the IPv4 address inside an IPv4-mapped IPv6 one, other addresses as they are."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@lru_cache(_REMEMBERED)
def parse(url: str) -> Target:
    """Return the parts of an absolute http(s) URL; whatever two programs could read differently is refused.

    Raises:
        DeliveryError: not such a URL, or with credentials, or with a host that is a number in disguise.
    """
    if _UNSAFE.search(url):
        raise DeliveryError("The URL holds a space, a backslash or a control character; remove it.")
    scheme, slashes, _ = url.partition("://")
    if not slashes or scheme.lower() not in {"http", "https"}:
        raise DeliveryError("The URL must begin with https:// followed by a host name.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise DeliveryError("The URL's host or port is malformed.") from error
    if "@" in parts.netloc:
        raise DeliveryError("The URL holds credentials before the host; put them into the settings.")
    host, address = _host(parts.netloc, parts.hostname or "")
    port = (443 if scheme.lower() == "https" else 80) if port is None else port
    shown = f"[{host}]" if isinstance(address, ipaddress.IPv6Address) else host
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=string.punctuation)
    return Target(scheme.lower(), host, port, address, f"{scheme.lower()}://{shown}:{port}{path}")


def parse_host(text: str) -> tuple[str, Address | None]:
    """Return a host as `Target` has it: its name, and the same as an address where it is one.

    Args:
        text: a name or an address, an IPv6 one with or without brackets.

    Raises:
        DeliveryError: neither of them, or a number in disguise.
    """
    inner = text.removeprefix("[").removesuffix("]")
    return _host(f"[{inner}]", inner) if ":" in inner else _host(text, text)


def _host(netloc: str, host: str) -> tuple[str, Address | None]:
    if netloc.startswith("["):
        return _bracketed(host)
    # Browsers and resolvers fold full-width digits and dots; so must the check.
    name = unicodedata.normalize("NFKC", host).replace("\u3002", ".").lower().removesuffix(".")
    if not name.isascii():
        name = _idna(name)
    labels = name.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        return _dotted(name)
    if len(name) > _NAME_CHARS_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise DeliveryError("The URL's host is not a valid name.")
    return name, None


def _bracketed(host: str) -> tuple[str, Address]:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError as error:
        raise DeliveryError("The URL's host is not a valid IPv6 address.") from error
    if address.scope_id is not None:
        raise DeliveryError("The URL's host is an address with a scope; only global addresses can be reached.")
    return address.compressed, address


def _dotted(name: str) -> tuple[str, Address]:
    try:
        return name, ipaddress.IPv4Address(name)
    except ValueError as error:
        raise DeliveryError("The URL's host looks like a number; write an address as four decimal numbers.") from error


def _idna(name: str) -> str:
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise DeliveryError("The URL's host is not a valid name.") from error
