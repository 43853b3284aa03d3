"""Reach: what does not speak HTTP is dialled at judged addresses only."""

import ipaddress

import pytest

from headwater.delivery.address import Policy
from headwater.delivery.reach import GuardedReach
from headwater.errors import DeliveryError, RetryableError


def reach(*addresses: str, allow: str = "") -> GuardedReach:
    async def resolve(_):
        return list(addresses)

    networks = tuple(ipaddress.ip_network(each) for each in allow.split(",") if each)
    return GuardedReach(Policy(networks), resolve=resolve)


@pytest.mark.parametrize(
    ("host", "port"), [("db.example.com", 5432), ("DB.Example.com.", 9092), ("bücher.example", 6379)]
)
async def test_a_public_host_is_dialled_at_the_protocols_own_port(host, port):
    assert await reach("93.184.216.34", "2606:2800:220:1::1")(host, port) == ["93.184.216.34", "2606:2800:220:1::1"]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "0", "2130706433", "0x7f000001", "0177.0.0.1", "::1", "[::1]", "::ffff:127.0.0.1",
     "10.0.0.1", "169.254.169.254", "fe80::1%eth0", "64:ff9b::7f00:1", "①②⑦.⓪.⓪.①", "", "a b", "/var/run/postgresql",
     "a,b", "user@host", "host:9092", "-x"],
)  # fmt: skip
async def test_what_leads_inside_or_is_no_host_is_refused(host):
    with pytest.raises(DeliveryError):
        await reach("93.184.216.34")(host, 5432)


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.1.2.3", "::1", "fd00::1", "169.254.169.254", "fe80::1%eth0"])
async def test_one_forbidden_address_of_several_is_enough(inside):
    with pytest.raises(DeliveryError):
        await reach("93.184.216.34", inside)("db.example.com", 5432)


async def test_a_network_that_the_operator_allows_is_reached_on_any_port():
    allowed = reach("10.1.2.3", allow="10.0.0.0/8,127.0.0.0/8")
    assert await allowed("db.internal", 80) == ["10.1.2.3"]
    assert await allowed("127.0.0.1", 5432) == ["127.0.0.1"]


@pytest.mark.parametrize("port", [0, 22, 25, 1023, 65_536])
async def test_a_systems_own_port_is_refused_in_public(port):
    with pytest.raises(DeliveryError, match="Port"):
        await reach("93.184.216.34")("db.example.com", port)


async def test_a_name_without_address_is_asked_for_again():
    async def fails(_):
        raise OSError("no such name")

    for each in (reach(), GuardedReach(resolve=fails)):
        with pytest.raises(RetryableError):
            await each("db.example.com", 5432)


async def test_the_systems_resolver_finds_this_machine():
    found = GuardedReach(Policy((ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))))
    try:
        assert set(await found("localhost", 5432)) <= {"127.0.0.1", "::1"}
    finally:
        found.close()
