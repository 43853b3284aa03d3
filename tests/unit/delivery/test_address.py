"""Where an outgoing call may go: the whole table of disguises, as literals and as what a name resolves to."""

import ipaddress

import pytest

from headwater.delivery.address import FORBIDDEN, PORTS_DENIED, Policy, parse
from headwater.delivery.http import GuardedHttp
from headwater.errors import DeliveryError

# One table for literals (here and over real HTTP in tests/integration/delivery/test_http.py).
DISGUISES = [
    "0.0.0.0",  # noqa: S104 - an address to refuse, nothing is bound
    "127.0.0.1", "127.1", "0", "2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "127.0.0.1.",
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460", "127\u30020\u30020\u30021", "[::]", "[::1]", "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::1]", "[2002:7f00:1::]",
    "[fe80::1%25eth0]", "[fec0::1]", "[fd00:ec2::254]", "[3fff::1]", "[5f00::1]", "[ff02::1]", "[2001:db8::1]",
    "[100::1]", "10.0.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.169.254", "169.254.170.2",
    "100.100.100.200", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "1.2.3", "0x7f.1", "1.2.3.4.5", "256.256.256.256",
]  # fmt: skip

MALFORMED = [
    "http://good@127.0.0.1/", "http://127.0.0.1#@good/", "http://good\\@127.0.0.1/", "http://good:80\n:443/",
    "https://good:22", "http:///127.0.0.1", "http:127.0.0.1", "https://[::1", "https://", "https://good:99999",
    "https://good:port", "//good", "ftp://good", "file:///etc/passwd", "gopher://good", "https://user:word@good/",
    "https://a b/", "https://good\t/", "https://-good/", "https://a..b/", "https://" + "a" * 64 + ".com/", "good.com",
    "https://good:-1", "https://[127.0.0.1]", "javascript:alert(1)", "", "https://%31%32%37.0.0.1/", "http://good:0",
]  # fmt: skip


def judged(url: str, policy: Policy = Policy()) -> None:  # noqa: B008 - frozen
    target = parse(url)
    address = target.address or ipaddress.ip_address("93.184.216.34")
    policy.judge(address, target.port, plain=target.scheme == "http")


@pytest.mark.parametrize("host", DISGUISES)
@pytest.mark.parametrize("url", ["https://{}/", "http://{}:8080/hook?a=b", "HTTPS://{}"])
def test_no_spelling_of_an_internal_address_passes(host, url):
    with pytest.raises(DeliveryError):
        judged(url.format(host))


@pytest.mark.parametrize("url", MALFORMED)
def test_what_two_programs_could_read_differently_is_refused(url):
    with pytest.raises(DeliveryError) as caught:
        judged(url)
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("net", FORBIDDEN, ids=str)
def test_both_ends_of_every_forbidden_network_are_refused(net):
    for address in (net[0], net[-1]):
        with pytest.raises(DeliveryError):
            Policy().judge(address, 443, plain=False)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "172.32.0.1"])
def test_a_public_address_passes(address):
    Policy().judge(ipaddress.ip_address(address), 443, plain=False)


@pytest.mark.parametrize("port", [*sorted(PORTS_DENIED), 1, 22, 25, 81, 1023])
def test_ports_of_other_services_are_refused(port):
    with pytest.raises(DeliveryError):
        Policy().judge(ipaddress.ip_address("93.184.216.34"), port, plain=False)


def test_an_allowed_network_may_be_reached_by_http_and_on_any_port():
    policy = Policy(networks=(ipaddress.ip_network("10.1.0.0/16"),))
    policy.judge(ipaddress.ip_address("10.1.2.3"), 5432, plain=True)
    policy.judge(ipaddress.ip_address("::ffff:10.1.2.3"), 80, plain=True)
    with pytest.raises(DeliveryError):
        policy.judge(ipaddress.ip_address("10.2.0.1"), 80, plain=True)


def test_plain_http_to_the_internet_needs_the_switch():
    public = ipaddress.ip_address("93.184.216.34")
    with pytest.raises(DeliveryError):
        Policy().judge(public, 80, plain=True)
    Policy(http=True).judge(public, 80, plain=True)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://Example.COM", "https://example.com:443/"),
        ("https://example.com./a%20b?c=d#e", "https://example.com:443/a%20b?c=d"),
        ("https://example.com/\u00fc?\u00e4=1", "https://example.com:443/%C3%BC?%C3%A4=1"),
        ("https://b\u00fccher.example:8443/x", "https://xn--bcher-kva.example:8443/x"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]:443/"),
        ("http://my_host-1.example:8080/a;b=1", "http://my_host-1.example:8080/a;b=1"),
    ],
)
def test_a_good_url_is_put_together_again_from_its_parts(url, text):
    assert parse(url).text == text


def test_a_literal_is_judged_before_anything_is_sent():
    with pytest.raises(DeliveryError):
        GuardedHttp().checked("https://169.254.169.254/latest/meta-data")
