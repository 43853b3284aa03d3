"""Files: names that say what is inside, folders that no value can leave, and a signature as Amazon's own library's."""

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from headwater.destinations.contract import Answer, Delivered, Retry, Room, Unauthorized
from headwater.destinations.files import Destination, Settings, folder, s3, stem
from headwater.destinations.files.formats import gzipped
from headwater.errors import ConfigError, DeliveryError, UnauthorizedError
from headwater.spec.event import Event
from rooms import Example, room

S3 = {"store": "s3", "bucket": "events", "access_key": "AKID", "secret_key": "canary", "path": "{type}"}
EXAMPLE = Example(S3, means={404: Unauthorized, 302: Unauthorized})


def event(number: int = 1, source: str = "s1", **members) -> Event:
    body = {"type": "track", "event": "Signed Up", "messageId": f"m{number}",
            "timestamp": f"2026-05-04T{number % 24:02}:59:59.999Z", **members}  # fmt: skip
    return Event(number, source, json.dumps(body).encode(), body)


class Storage:
    """The bucket's side of the wire: answers always the same."""

    def __init__(self, answer):
        self.answer, self.sent = answer, []

    async def request(self, method, url, *, body=b"", headers=None):
        self.sent.append((method, url, body, headers))
        return self.answer


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def at(directory: Path) -> Room:
    """Return a room whose own directory this is."""
    return replace(room(None), home=directory)


async def test_each_folder_of_a_batch_gets_one_whole_file(tmp_path):
    settings = Settings("disk", "ndjson")
    batch = [event(1), event(2), event(1, "s2")]
    assert await Destination(settings, at(tmp_path)).send(batch) == [Delivered()] * 3
    found = {name.rpartition("/")[0]: content for name, content in files(tmp_path).items()}
    assert found == {
        "date=2026-05-04/hour=01": batch[0].line + b"\n" + batch[2].line + b"\n",
        "date=2026-05-04/hour=02": batch[1].line + b"\n",
    }


@pytest.mark.parametrize("kind", ["ndjson", "ndjson.gz", "parquet"])
async def test_the_same_batch_again_replaces_its_own_file(tmp_path, kind):
    batch = [event(n, timestamp="2026-05-04T12:00:00Z") for n in range(20)]
    for sent in (batch, batch, batch[:19], batch):
        await Destination(Settings("disk", kind), at(tmp_path)).send(sent)
    assert len(files(tmp_path)) == 2


def test_a_name_says_which_stretch_of_the_log_is_inside():
    name = stem([event(3), event(17)])
    assert name.startswith("000000000003-000000000017-")
    assert name == stem([event(3), event(17)])
    assert len({name, stem([event(3), event(17, "s2")]), stem([event(3), event(5), event(17)])}) == 3


def test_gzip_holds_the_lines_as_they_are_stored():
    batch = [event(1, properties={"ü": "\u2028"}), event(2)]
    assert gzip.decompress(gzipped(batch)) == batch[0].line + b"\n" + batch[1].line + b"\n"
    assert gzipped(batch) == gzipped(batch)


async def test_parquet_is_read_as_typed_rows(tmp_path):
    batch = [
        event(1, userId="u1", properties={"a": "ü", "n": 12345678901234567890}, receivedAt="2026-05-04T13:00:00+02:00"),
        event(2, timestamp="yesterday", userId=7),
    ]
    await Destination(Settings("disk", "parquet", path=""), room(None, tmp_path)).send(batch)
    rows = (
        duckdb.connect()
        .execute(
            "select source_id, message_id, type, event, user_id, anonymous_id, epoch(received_at), epoch(timestamp), "
            f"body::varchar from read_parquet('{tmp_path}/**/*.parquet') order by message_id"
        )
        .fetchall()
    )
    at = datetime(2026, 5, 4, 1, 59, 59, 999_000, tzinfo=UTC).timestamp()
    received = datetime(2026, 5, 4, 11, tzinfo=UTC).timestamp()
    assert rows == [
        ("s1", "m1", "track", "Signed Up", "u1", None, received, at, batch[0].line.decode()),
        ("s1", "m2", "track", "Signed Up", "7", None, None, None, batch[1].line.decode()),
    ]


@given(st.text(max_size=300), st.text(max_size=20))
def test_no_value_leads_out_of_its_folder(name, kind):
    found = folder("a/{event}/{type}", event(event=name, type=kind))
    parts = found.split("/")
    assert len(parts) == 3
    assert not any(part.startswith(".") or "\0" in part or not part for part in parts)


@pytest.mark.parametrize(
    "wrong", [{"path": "../{date}"}, {"path": "{nothing}"}, {"path": "a/.b"}, {"path": "a b"}, {"path": "a\0"},
              {"bucket": ""}, {"bucket": "A_B"}, {"access_key": ""}, {"secret_key": ""}, {"region": "a/b"},
              {"endpoint": "https://host/path"}, {"endpoint": "ftp://host"}, {"endpoint": "https://u@host"},
              {"prefix": "../x"}, {"prefix": "a?b"}],
)  # fmt: skip
def test_settings_that_could_lead_elsewhere_are_refused(wrong):
    with pytest.raises(ConfigError):
        Destination(Settings(**{**S3, **wrong}), room(None))


async def test_only_directories_that_the_operator_allows_are_written(tmp_path):
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    for each in (allowed, other):
        each.mkdir()
    (allowed / "link").symlink_to(other)
    given_room = room(None, tmp_path / "home", directories=(allowed,))
    await Destination(Settings("disk", path="", directory=str(allowed / "in")), given_room).send([event()])
    assert len(files(allowed / "in")) == 1
    for wrong in (other, allowed / ".." / "other", allowed / "link", Path("allowed"), Path("/")):
        with pytest.raises(ConfigError, match="HEADWATER_FILES_DIRS"):
            Destination(Settings("disk", directory=str(wrong)), given_room)


async def test_a_disk_that_cannot_be_written_is_tried_again(tmp_path):
    (tmp_path / "home").write_text("in the way")
    destination = Destination(Settings("disk"), at(tmp_path / "home"))
    assert [type(each) for each in await destination.send([event()])] == [Retry]
    with pytest.raises(DeliveryError, match="cannot be written"):
        await destination.check()


async def test_a_check_leaves_nothing(tmp_path):
    await Destination(Settings("disk"), at(tmp_path)).check()
    assert files(tmp_path) == {}


async def test_more_folders_than_files_allowed_wait_for_the_next_try(tmp_path):
    batch = [event(n, event=f"E{n}") for n in range(60)]
    outcomes = await Destination(Settings("disk", path="{event}"), at(tmp_path)).send(batch)
    assert [type(each) for each in outcomes] == [Delivered] * 50 + [Retry] * 10


@pytest.mark.parametrize("endpoint", ["https://s3.eu-central-1.amazonaws.com", "https://Minio.example:9000/"])
async def test_a_request_is_signed_as_amazons_library_signs_it(endpoint):
    storage, at = Storage(Answer(200, {}, b"")), datetime(2026, 5, 4, 12, 0, 5, tzinfo=UTC)
    settings = Settings(**{**S3, "endpoint": endpoint, "region": "eu-central-1", "prefix": "a=b/", "path": "t={type}"})
    assert await Destination(settings, room(storage, clock=lambda: at)).send([event()]) == [Delivered(200)]
    ((method, url, body, headers),) = storage.sent
    assert "/events/a%3Db/t%3Dtrack/0" in url
    theirs = AWSRequest(method, url.lower().replace("%3d", "%3D"), data=body)
    theirs.headers["x-amz-content-sha256"] = headers["x-amz-content-sha256"]
    theirs.context["timestamp"] = "20260504T120005Z"
    theirs.headers["X-Amz-Date"] = "20260504T120005Z"
    auth = S3SigV4Auth(Credentials("AKID", "canary"), "s3", "eu-central-1")
    wanted = auth.string_to_sign(theirs, auth.canonical_request(theirs))
    assert headers["authorization"].rpartition("=")[2] == auth.signature(wanted, theirs)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(Answer(403, {}, b"<Code>InvalidAccessKeyId</Code>"), Unauthorized),
     (Answer(403, {}, b"<Code>RequestTimeTooSkewed</Code>"), Retry), (Answer(404, {}, b""), Unauthorized),
     (Answer(400, {}, b"<Code>RequestTimeout</Code>"), Retry),
     (Answer(400, {}, b"<Code>AuthorizationHeaderMalformed</Code>"), Unauthorized),
     (Answer(409, {}, b"<Code>OperationAborted</Code>"), Retry),
     (Answer(301, {}, b""), Unauthorized), (Answer(503, {}, b"<Code>SlowDown</Code>"), Retry)],
)  # fmt: skip
async def test_no_event_is_given_up_for_what_storage_answers(answer, kind):
    (outcome,) = await Destination(Settings(**S3), room(Storage(answer))).send([event()])
    assert type(outcome) is kind


async def test_a_check_names_refused_keys_and_shows_none():
    assert "canary" not in repr(Settings(**S3))
    with pytest.raises(UnauthorizedError) as raised:
        await Destination(Settings(**S3), room(Storage(Answer(403, {}, b"canary")))).check()
    assert "canary" not in str(raised.value)


def test_a_default_port_is_not_signed():
    for endpoint, host in (("https://H:443", "h"), ("http://h:80", "h"), ("https://h:80", "h:80")):
        assert s3._host(endpoint) == host
