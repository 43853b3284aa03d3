"""Files in S3-compatible storage, over HTTP to a server that checks signatures: whole files, once each."""

import gzip
import json
import logging
from dataclasses import replace

import boto3
import duckdb
import pytest
from moto.core import enable_iam_authentication
from moto.server import ThreadedMotoServer

from headwater.delivery.address import Policy
from headwater.delivery.http import GuardedHttp
from headwater.destinations.contract import Delivered, Unauthorized
from headwater.destinations.files import Destination, Settings
from headwater.errors import DeliveryError, UnauthorizedError
from headwater.spec.event import Event
from receiver import LOOPBACK
from rooms import room


def event(number: int) -> Event:
    body = {"type": "track", "event": "A", "messageId": f"m{number}", "timestamp": "2026-05-04T12:00:00Z"}
    return Event(number, "s1", json.dumps(body).encode(), body)


@pytest.fixture(scope="module")
def server():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def storage(server):
    """A client with keys that the storage knows, and a bucket."""
    anybody = {"endpoint_url": server, "region_name": "eu-central-1"}
    iam = boto3.client("iam", **anybody, aws_access_key_id="any", aws_secret_access_key="any")
    iam.create_user(UserName="headwater")
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="headwater", PolicyName="all", PolicyDocument=json.dumps(allowed))
    key = iam.create_access_key(UserName="headwater")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    client = boto3.client("s3", **anybody, **keys)
    client.create_bucket(Bucket="events", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    with enable_iam_authentication():  # from here on every signature is checked
        yield client, Settings(
            "s3", endpoint=server, region="eu-central-1", bucket="events", prefix="raw",
            access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"],
        )  # fmt: skip


@pytest.fixture
async def http():
    client = GuardedHttp(LOOPBACK)
    yield client
    await client.close()


def held(client) -> dict[str, bytes]:
    listed = client.list_objects_v2(Bucket="events").get("Contents", [])
    return {each["Key"]: client.get_object(Bucket="events", Key=each["Key"])["Body"].read() for each in listed}


async def test_a_batch_sent_twice_is_one_object_with_every_event(storage, http):
    client, settings = storage
    destination = Destination(settings, room(http))
    await destination.check()
    batch = [event(n) for n in range(1000)]
    for _ in range(2):
        assert await destination.send(batch) == [Delivered(200)] * 1000
    ((name, content),) = held(client).items()
    assert name.startswith("raw/date=2026-05-04/hour=12/000000000000-000000000999-")
    assert gzip.decompress(content).splitlines() == [each.line for each in batch]


async def test_parquet_in_a_bucket_is_whole(storage, http, tmp_path):
    client, settings = storage
    batch = [event(n) for n in range(2000, 2500)]
    chosen = replace(settings, format="parquet", prefix="p")
    assert await Destination(chosen, room(http)).send(batch) == [Delivered(200)] * 500
    (content,) = (content for name, content in held(client).items() if name.startswith("p/"))
    (tmp_path / "a.parquet").write_bytes(content)
    found = duckdb.connect().execute(
        f"select count(distinct message_id), min(timestamp)::varchar from '{tmp_path}/a.parquet'"
    )
    assert found.fetchall()[0][0] == 500


@pytest.mark.parametrize("wrong", [{"secret_key": "wrong"}, {"access_key": "AKIAWRONG"}, {"bucket": "elsewhere"}])
async def test_what_the_storage_refuses_pauses_the_connection(storage, http, wrong):
    destination = Destination(replace(storage[1], **wrong), room(http))
    assert [type(each) for each in await destination.send([event(1)])] == [Unauthorized]
    with pytest.raises(UnauthorizedError):
        await destination.check()


async def test_a_private_storage_that_is_not_allowed_is_not_dialled(storage):
    strict = GuardedHttp(Policy())
    with pytest.raises(DeliveryError):
        await Destination(storage[1], room(strict)).send([event(1)])
    await strict.close()
