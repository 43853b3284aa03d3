"""Who sent a request that came through the operator's own proxies. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOPS_MAX: Final = 20  # ours: far more proxies than anybody has in a row; what lies further back is not read


def sender(peer: str, forwarded: Iterable[bytes], trusted: Sequence[Network]) -> str:
    """Return the address that a request comes from.

    Each proxy appends whoever connected to it to `X-Forwarded-For`, so the list is read from its end, as long as the
    word of a trusted proxy says so; what stands before that anybody may have written.

    Args:
        peer: who is connected to us.
        forwarded: the values of the header, in order.
        trusted: where the operator's proxies are.
    """
    hops = b",".join(forwarded).decode("latin-1").split(",")
    found = peer
    for hop in reversed(hops[-_HOPS_MAX:]):
        if not _is_in(found, trusted):
            break
        address = _address(hop)
        if address is None:
            break
        found = address
    return found


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)


def _address(text: str) -> str | None:
    """Return an address of the header, without the port that some proxies write, None for anything else."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return None
