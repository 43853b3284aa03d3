"""An error crosses from role to role as what it is: the API turns its class into a status and its field into a name."""

import asyncio
import socket

import pytest

from headwater import errors
from headwater.app.rpc import Caller, serving
from headwater.app.serving import Server

TOKEN = "t" * 64


class Failing:
    """Raises whatever it is asked for."""

    async def fail(self, kind, field=""):
        family = getattr(errors, kind)
        raise family("What happened.", field=field) if field else family("What happened.")


@pytest.fixture
async def caller():
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(serving(Failing(), TOKEN))
    task = asyncio.create_task(server.serve(listener))
    caller = Caller(f"http://127.0.0.1:{listener.getsockname()[1]}", TOKEN, who="pipeline role")
    yield caller
    await caller.close()
    server.stop()
    await task


@pytest.mark.parametrize(
    "kind",
    ["ConflictError", "NotFoundError", "ForbiddenError", "RetryableError", "UnauthorizedError", "DeliveryError"],
)
async def test_a_refusal_arrives_as_the_same_class_with_its_sentence(caller, kind):
    with pytest.raises(getattr(errors, kind), match="What happened") as raised:
        await caller.method("fail", kind=kind)
    assert type(raised.value) is getattr(errors, kind)


@pytest.mark.parametrize("kind", ["InvalidRequestError", "ForbiddenUrlError"])
async def test_a_wrong_field_is_still_named(caller, kind):
    with pytest.raises(errors.InvalidRequestError) as raised:
        await caller.method("fail", kind=kind, field="accountUrl")
    assert (type(raised.value).__name__, raised.value.field, str(raised.value)) == (
        kind,
        "accountUrl",
        "What happened.",
    )
