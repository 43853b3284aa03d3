"""Secrets of every destination on the shelf, echoed by the service: nothing that is kept or shown has them."""

import asyncio
import base64
import contextlib
import dataclasses
import json
import runpy
import urllib.parse
from pathlib import Path

import pytest

from headwater import shelf
from headwater.delivery.connection import Connection, Rules
from headwater.delivery.engine import SHELF, Delivery
from headwater.delivery.samples import SAMPLES
from headwater.errors import HeadwaterError, RetryableError, UnauthorizedError
from headwater.functions.contract import Ended, Function
from headwater.outgoing import Answer
from receiver import append, body, until
from rooms import outside

UNIT = Path(__file__).parents[2] / "unit" / "destinations"
CANARY = "Zq7Kx9/Wv+\"3Lm'5Tb8Rn2äY"
WHSEC = "whsec_" + base64.b64encode(b"canary-canary-canary-canary!").decode()
SHAPED = {
    ("slack", "url"): f"https://hooks.example/services/T0/B0/{urllib.parse.quote(CANARY, safe='')}",
    ("webhook", "secret"): WHSEC,
    ("webhook", "previous_secret"): WHSEC,
    ("webhook", "headers"): {"Authorization": "Bearer canary-Zq7Kx9Wv3Lm5Tb8Rn2"},
    ("function", "settings"): {"key": CANARY},
}
PLAIN = {"klaviyo", "braze", "hubspot", "intercom", "posthog", "activecampaign"}  # their keys stand in headers
RULES = Rules(retry_first_s=0.01, retry_max_s=0.02, retry_for_s=0.0, hold_max_s=0.02, drain_s=1.0)


def secret_of(name, field):
    plain = "canaryZq7Kx9Wv3Lm5Tb8Rn2Y" if name in PLAIN else CANARY
    return SHAPED.get((name, field), plain)


def settings_of(name) -> tuple[dict, set[str]]:
    """Return the example's settings with canaries in every secret, and the canaries."""
    settings = dict(runpy.run_path(str(UNIT / f"test_{name}.py"))["EXAMPLE"].settings)
    canaries: set[str] = set()
    for field in dataclasses.fields(shelf.take(SHELF, name).Settings):
        if field.metadata.get("secret"):
            settings[field.name] = secret = secret_of(name, field.name)
            canaries |= set(secret.values()) if isinstance(secret, dict) else {secret}
    return settings, canaries


def marks(canaries) -> set[str]:
    """Return what betrays a canary: its characteristic middle, in the spellings of the wire."""
    found = set()
    for canary in canaries:
        core = canary.rpartition("/services/")[2].removeprefix("Bearer ").removeprefix("whsec_")
        core = urllib.parse.unquote(core)
        found |= {core, urllib.parse.quote(core, safe=""), json.dumps(core)[1:-1]}
        found |= {base64.b64encode(b"x" * pad + core.encode())[4:20].decode() for pad in range(3)}
        found.add(core[:9])
    return found


class Echo:
    """A service that answers with everything it was asked, in a text and in the places where errors are told."""

    def __init__(self, status):
        self.status, self.asked = status, 0

    async def request(self, method, url, *, body=b"", headers=None):
        self.asked += 1
        told = f"{method} {url} {dict(headers or {})} {body.decode('utf-8', 'replace')}"
        if self.status is None:
            raise RetryableError(f"No answer: {told}")
        coded = base64.b64encode(told.encode()).decode()
        errors = [{"message": told, "detail": told, "title": told, "code": told, "reason": told}]
        answer = {"error": told, "message": told, "errors": errors, "coded": coded, "status": "error", "success": 0}
        return Answer(self.status, {"content-type": "application/json"}, json.dumps(answer).encode())


def found_in(text: str, canaries) -> list[str]:
    return sorted(mark for mark in marks(canaries) if mark in text)


def kept(directory: Path) -> str:
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in directory.glob("*sqlite*"))


async def finished(delivery) -> bool:
    (status,) = await delivery.status()
    return status.read == 2 and (status.state == "paused" or not status.retrying)


@contextlib.asynccontextmanager
async def running(delivery, *connections):
    delivery.apply(connections)
    task = asyncio.create_task(delivery.run())
    try:
        yield
    finally:
        await delivery.stop()
        await task


HTTP = [name for name in shelf.names(SHELF) if name not in {"kafka", "postgres", "function"}]


@pytest.mark.parametrize("status", [200, 400, 401, 404, 500, None])
@pytest.mark.parametrize("name", HTTP)
async def test_no_secret_is_kept_or_shown_of_a_service_that_echoes(name, status, log, tmp_path, capfd):
    settings, canaries = settings_of(name)
    assert canaries
    echo = Echo(status)
    connection = Connection("d1", "s1", name, "Mine", enabled=True, settings=settings)
    await append(log, *[body(f"m{n}", context={"traits": {"email": "ann@example.com"}}) for n in range(2)])
    delivery = Delivery(log, tmp_path, outside(echo, tmp_path), rules=RULES)
    shown = []
    async with running(delivery, connection):
        await until(lambda: finished(delivery))
        shown += [repr(await delivery.status())]
        shown += [repr(await delivery.dead_letter(letter.id)) for letter in await delivery.dead_letters()]
        shown.append(repr(await delivery.try_event(name, settings, SAMPLES["track"], as_is=True)))
        try:
            await delivery.test(name, settings)
        except HeadwaterError as error:
            shown.append(str(error))
    assert echo.asked
    assert found_in(kept(tmp_path), canaries) == []
    assert found_in("".join(shown), canaries) == []
    assert found_in("".join(capfd.readouterr()), canaries) == []


class Telling:
    """A runtime whose function tells its settings, in every way that it can."""

    def __init__(self, kind):
        self.kind = kind

    async def handlers(self, _function):
        return frozenset({"onTrack"})

    async def run(self, function, _handler, arguments, _http):
        told = function.settings["key"]
        return [Ended(self.kind, {**one, "event": told}, told, [told]) for one in arguments]


@pytest.mark.parametrize("place", ["insert", "destination"])
@pytest.mark.parametrize("kind", ["sent", "retry", "failed"])
async def test_a_function_cannot_tell_its_secrets_to_those_who_read_dead_letters(place, kind, log, tmp_path, capfd):
    own = Function("fn1", "Telling", "", {"key": CANARY})
    named = {"inserts": (own,)} if place == "insert" else {"functions": {"fn1": own}}
    kind_of = "webhook" if place == "insert" else "function"
    settings = {"url": "https://a.example"} if place == "insert" else {"function": "fn1"}
    connection = Connection("d1", "s1", kind_of, "Mine", enabled=True, settings=settings, **named)
    await append(log, *[body(f"m{n}") for n in range(2)])
    delivery = Delivery(log, tmp_path, outside(Echo(400), tmp_path, runtime=Telling(kind)), rules=RULES)
    async with running(delivery, connection):
        await until(lambda: finished(delivery))
        shown = repr(await delivery.status())
        shown += "".join([repr(await delivery.dead_letter(letter.id)) for letter in await delivery.dead_letters()])
        shown += repr(await delivery.try_event(kind_of, settings, SAMPLES["track"], destination_id="d1"))
    assert found_in(kept(tmp_path) + shown + "".join(capfd.readouterr()), {CANARY}) == []


async def echo_password(reader, writer):
    """Speak PostgreSQL as far as the password, and quote it in the refusal."""
    await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big") - 4)
    writer.write(b"R" + (8).to_bytes(4, "big") + (3).to_bytes(4, "big"))
    await reader.readexactly(1)
    password = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big") - 4)
    told = b"SFATAL\0C28P01\0Mpassword authentication failed: " + password.rstrip(b"\0") + b"\0\0"
    writer.write(b"E" + (len(told) + 4).to_bytes(4, "big") + told)
    await writer.drain()
    writer.close()


async def test_a_database_that_quotes_the_password_is_not_quoted(log, tmp_path, capfd):
    async def reach(_host, _port):
        return ["127.0.0.1"]

    async with await asyncio.start_server(echo_password, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = {"host": "db.example", "port": port, "database": "d", "user": "u", "password": CANARY}
        settings["sslmode"] = "disable"
        await append(log, body("m0"), body("m1"))
        delivery = Delivery(log, tmp_path, outside(Echo(200), tmp_path, reach=reach), rules=RULES)
        async with running(delivery, Connection("d1", "s1", "postgres", "Mine", enabled=True, settings=settings)):
            await until(lambda: finished(delivery))
            shown = repr(await delivery.status())
            with pytest.raises(UnauthorizedError) as refused:
                await delivery.test("postgres", settings)
    assert "PostgreSQL refuses the user" in shown
    assert found_in(kept(tmp_path) + shown + str(refused.value) + "".join(capfd.readouterr()), {CANARY}) == []
