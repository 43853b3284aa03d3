"""The outgoing client against real and hostile servers: it goes where it may, and always comes back in time."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from headwater.delivery.address import Policy, parse
from headwater.delivery.http import GuardedHttp, Names
from headwater.errors import DeliveryError, RetryableError
from receiver import LOOPBACK

FORBIDDEN_ANSWERS = [
    "0.0.0.0",  # noqa: S104 - an address to refuse, nothing is bound
    "127.0.0.1", "::1", "::", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    "fe80::1%eth0", "fec0::1", "fd00:ec2::254", "10.0.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255",
]  # fmt: skip
NAMES = ["localhost", "LOCALHOST.", "localhost.localdomain", "metadata.google.internal", "host.docker.internal"]


class Fake:
    """A resolver whose answers change from look-up to look-up."""

    def __init__(self, *answers: list[str]):
        self.answers, self.asked = list(answers), []

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextlib.asynccontextmanager
async def client(policy: Policy = LOOPBACK, **named):
    http = GuardedHttp(policy, **named)
    try:
        yield http
    finally:
        await http.close()


@contextlib.asynccontextmanager
async def speaking(*parts: bytes, pause_s: float = 0.0, hold: bool = False, reset: bool = False):
    """A server that says these bytes whatever it is asked; yields its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_s)
            if hold:
                await reader.read()
        if reset:
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize("answer", FORBIDDEN_ANSWERS)
async def test_a_name_that_resolves_to_an_internal_address_is_refused(answer):
    async with client(Policy(http=True), resolve=Fake([answer])) as http:
        for url in ("https://rebound.example/", "http://rebound.example:8080/"):
            with pytest.raises(DeliveryError) as caught:
                await http.request("POST", url)
            assert not isinstance(caught.value, RetryableError)


@pytest.mark.parametrize("name", NAMES)
async def test_internal_names_lead_nowhere(name):
    async with client(Policy(http=True), resolve=Fake(["169.254.169.254"])) as http:
        with pytest.raises(DeliveryError):
            await http.request("GET", f"https://{name}/")


async def test_the_machines_own_name_leads_nowhere():
    async with client(Policy(http=True)) as http:
        with pytest.raises(DeliveryError):
            await http.request("GET", f"http://{socket.gethostname()}:8080/")
        with pytest.raises(DeliveryError):
            await http.request("GET", "http://localhost:8080/")


async def test_one_forbidden_answer_among_several_refuses_the_name():
    async with client(resolve=Fake(["93.184.216.34", "::1"])) as http:
        with pytest.raises(DeliveryError):
            await http.request("GET", "https://mixed.example/")


async def test_a_name_that_answers_differently_the_second_time_gains_nothing(receiver):
    port = receiver.url.rsplit(":", 1)[1]
    fake = Fake(["127.0.0.1"], ["169.254.169.254"])
    async with client(resolve=fake) as http:
        for _ in range(3):
            answer = await http.request("POST", f"http://rebinding.example:{port}/", body=b"{}")
            assert answer.status == 200
    assert fake.asked == ["rebinding.example"]
    assert receiver.headers[0]["host"] == f"rebinding.example:{port}"


async def test_what_is_dialled_is_judged_even_if_the_look_up_was_not(receiver, monkeypatch):
    port = receiver.url.rsplit(":", 1)[1]
    async with client(Policy(http=True)) as http:
        monkeypatch.setattr(http, "checked", parse)
        with pytest.raises(DeliveryError):
            await http.request("GET", f"http://127.0.0.1:{port}/")
    assert receiver.bodies == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(receiver, other_receiver, status):
    async def answer(_):
        return web.Response(status=status, headers={"location": other_receiver.url})

    receiver.answer = answer
    async with client() as http:
        assert (await http.request("POST", receiver.url, body=b"{}")).status == status
    assert other_receiver.bodies == []


async def test_no_proxy_is_taken_from_the_environment(receiver, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with client() as http:
        assert (await http.request("POST", receiver.url, body=b"{}")).status == 200


@pytest.mark.parametrize("headers", [{"x-a": "b\r\nx-c: d"}, {"x-a\n": "b"}, {"x-a": "b\x00"}])
async def test_a_header_cannot_smuggle_another(receiver, headers):
    async with client() as http:
        with pytest.raises(DeliveryError):
            await http.request("POST", receiver.url, headers=headers)
    assert receiver.headers == []


async def test_an_endless_body_is_cut_at_64_kilobytes():
    async with speaking(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 65536] * 64, hold=True) as port, client() as http:
        answer = await http.request("GET", f"http://127.0.0.1:{port}/")
    assert (answer.status, len(answer.body)) == (200, 65536)


@pytest.mark.parametrize(("bound", "cut"), [(99, True), (100, False), (101, False)])
async def test_an_answer_says_whether_there_was_more_than_its_bound(bound, cut):
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"x" * 100
    async with speaking(*said, hold=True) as port, client(answer_bytes_max=bound) as http:
        answer = await http.request("GET", f"http://127.0.0.1:{port}/")
        assert (len(answer.body), answer.cut) == (min(bound, 100), cut)


async def test_a_compressed_body_is_not_decoded():
    packed = b"\x1f\x8b" + b"\x00" * 30
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 32\r\n\r\n"
    async with speaking(head, packed) as port, client() as http:
        assert (await http.request("GET", f"http://127.0.0.1:{port}/")).body == packed


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffff\r\nshort"],
        [b"HTTP/1.1 20"],
        [b"garbage\r\n\r\n"],
        [b"<html>an HTTP/0.9 answer</html>"],
        [b""],
        [b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 100_000 + b"\r\n\r\n"],
    ],
)
@pytest.mark.parametrize("reset", [False, True])
async def test_an_answer_that_is_cut_or_no_http_is_tried_again(parts, reset):
    async with speaking(*parts, reset=reset) as port, client() as http:
        with pytest.raises(RetryableError):
            await http.request("POST", f"http://127.0.0.1:{port}/", body=b"{}")


async def test_interim_answers_are_passed_over():
    parts = [b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 20 + [b"HTTP/1.1 204 No Content\r\n\r\n"]
    async with speaking(*parts) as port, client() as http:
        assert (await http.request("POST", f"http://127.0.0.1:{port}/", body=b"{}")).status == 204


async def test_a_drip_of_bytes_ends_at_the_deadline():
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"
    async with speaking(head, *[b"x"] * 1000, pause_s=0.05) as port, client(deadline_s=0.3) as http:
        with pytest.raises(RetryableError, match=r"within 0\.3 s"):
            await http.request("GET", f"http://127.0.0.1:{port}/")


async def test_a_silent_server_ends_at_the_deadline():
    async with speaking(hold=True) as port, client(deadline_s=0.2) as http:
        with pytest.raises(RetryableError, match=r"within 0\.2 s"):
            await http.request("GET", f"http://127.0.0.1:{port}/")


async def test_a_refused_connection_is_tried_again():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with client() as http:
            with pytest.raises(RetryableError, match="No connection"):
                await http.request("GET", f"http://127.0.0.1:{taken.getsockname()[1]}/")


async def test_a_name_that_does_not_exist_is_tried_again():
    async def nothing(_):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    async with client(resolve=nothing) as http:
        with pytest.raises(RetryableError, match="not found"):
            await http.request("GET", "https://missing.example/")


async def test_a_name_server_that_hangs_ends_at_the_deadline():
    async def hanging(_):
        await asyncio.sleep(60)

    async with client(resolve=hanging, deadline_s=0.2) as http:
        with pytest.raises(RetryableError):
            await http.request("GET", "https://slow.example/")


async def test_look_ups_of_one_name_are_shared():
    names = Names()
    found = await asyncio.gather(*(names.resolve("127.0.0.1") for _ in range(8)))
    names.close()
    assert found == [["127.0.0.1"]] * 8


async def test_a_server_without_trusted_certificate_is_not_spoken_to(receiver):
    port = receiver.url.rsplit(":", 1)[1]
    async with client() as http:
        with pytest.raises(RetryableError):
            await http.request("POST", f"https://127.0.0.1:{port}/")
    assert receiver.bodies == []


async def test_an_allowed_network_does_not_open_the_others(receiver):
    policy = Policy(networks=(ipaddress.ip_network("10.0.0.0/8"),))
    async with client(policy) as http:
        with pytest.raises(DeliveryError):
            await http.request("POST", receiver.url)


async def test_every_answer_has_a_date_to_count_a_retry_from():
    async with speaking(b"HTTP/1.1 204 No Content\r\n\r\n") as port, client() as http:
        assert "GMT" in (await http.request("GET", f"http://127.0.0.1:{port}/")).headers["date"]


@contextlib.asynccontextmanager
async def secured(directory, name: str):
    """A TLS server whose certificate is for `name`; yields its port and a context that trusts its authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    day = timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - day)
        .not_valid_after(datetime.now(UTC) + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    (directory / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    (directory / "certificate").write_bytes(pem)
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(directory / "certificate", directory / "key")

    async def handle(_, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=own)
    try:
        yield server.sockets[0].getsockname()[1], ssl.create_default_context(cadata=pem.decode())
    finally:
        server.close()


async def test_a_certificate_is_checked_against_the_name_and_not_the_address(tmp_path):
    async with secured(tmp_path, "right.example") as (port, trusting):
        async with client(resolve=Fake(["127.0.0.1"]), tls=trusting) as http:
            assert (await http.request("POST", f"https://right.example:{port}/")).status == 204
            with pytest.raises(RetryableError, match="TLS"):
                await http.request("POST", f"https://wrong.example:{port}/")
        async with client(resolve=Fake(["127.0.0.1"])) as http:
            with pytest.raises(RetryableError, match="TLS"):
                await http.request("POST", f"https://right.example:{port}/")
