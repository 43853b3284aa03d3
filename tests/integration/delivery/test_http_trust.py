"""Whom the outgoing client believes: no certificate that is wrong, no peer that was not judged, no odd answer."""

import asyncio
import contextlib
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from headwater.delivery.address import Policy
from headwater.delivery.http import GuardedHttp
from headwater.errors import DeliveryError, RetryableError
from receiver import LOOPBACK

DAY_S = 24 * 3600.0


@contextlib.asynccontextmanager
async def serving(handle, tls=None):
    """A server on loopback; yields its port."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def secured(certificate: trustme.LeafCert) -> ssl.SSLContext:
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(own)
    return own


async def accepting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    writer.close()


async def loopback(_: str) -> list[str]:
    return ["127.0.0.1"]


@contextlib.asynccontextmanager
async def trusting(authority: trustme.CA | None, policy: Policy = LOOPBACK, **named):
    context = ssl.create_default_context()
    if authority is not None:
        authority.configure_trust(context)
    http = GuardedHttp(policy, resolve=loopback, tls=context, **named)
    try:
        yield http
    finally:
        await http.close()


@pytest.mark.parametrize("trouble", ["expired", "not yet", "other host", "other authority", None])
async def test_a_certificate_has_to_be_right_and_is_waited_for_a_day(trouble):
    ours, theirs, now = trustme.CA(), trustme.CA(), datetime.now(UTC)
    times = {"expired": now - timedelta(days=1), "not yet": now + timedelta(days=300)}
    begins = {"not yet": now + timedelta(days=200)}.get(trouble, now - timedelta(days=2))
    certificate = (theirs if trouble == "other authority" else ours).issue_cert(
        "other.example" if trouble == "other host" else "right.example",
        not_before=begins,
        not_after=times.get(trouble, now + timedelta(days=1)),
    )
    async with serving(accepting, secured(certificate)) as port, trusting(ours) as http:
        url = f"https://right.example:{port}/"
        if trouble is None:
            assert (await http.request("POST", url)).status == 204
            return
        with pytest.raises(RetryableError, match="TLS") as caught:
            await http.request("POST", url)
    assert caught.value.for_s == DAY_S


async def test_a_handshake_that_is_cut_is_tried_again():
    async def cutting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async with serving(cutting) as port, trusting(None) as http:
        with pytest.raises(RetryableError):
            await http.request("POST", f"https://right.example:{port}/")


class Turning(Policy):
    """A policy that forbids an address the third time it is asked: after the look-up and the dialling."""

    asked: list

    def judge(self, address, port, *, plain):
        self.asked.append(address)
        if len(self.asked) > 2:
            raise DeliveryError("The address is internal.")
        LOOPBACK.judge(address, port, plain=plain)


async def test_the_peer_of_the_open_socket_is_judged_before_anything_is_sent():
    heard = []

    async def hearing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1))
        writer.close()

    policy = Turning()
    object.__setattr__(policy, "asked", [])
    async with serving(hearing) as port, trusting(None, policy) as http:
        with pytest.raises(DeliveryError, match="internal"):
            await http.request("POST", f"http://peer.example:{port}/", body=b"{}")
        await asyncio.sleep(0)
    assert [byte for byte in heard if byte] == []
    assert len(policy.asked) == 3


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000,
        b"HTTP/1.1 600 What\r\ncontent-length: 0\r\n\r\n",
        b"hello\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
    ],
    ids=["1xx flood", "600", "HTTP/0.9", "endless header"],
)
async def test_an_odd_answer_ends_as_an_answer_or_an_error_of_ours(said):
    async def speaking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            await writer.drain()
        writer.close()

    async with serving(speaking) as port, trusting(None, deadline_s=2.0) as http:
        try:
            answer = await http.request("POST", f"http://odd.example:{port}/", body=b"{}")
        except RetryableError:
            return
    assert answer.status == 600
