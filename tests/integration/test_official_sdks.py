"""Unmodified Segment SDKs against the whole program: what they send is what the warehouse holds, once."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from program import Program

EVENTS = 10_000
NODE_SDK = Path(__file__).parents[2] / ".stamps" / "node-sdk"

PYTHON_SENDER = """
import sys
from segment import analytics
url, key, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = analytics.Client(key, host=url, gzip=True, max_queue_size=count + 1, thread=2, max_retries=10)
for number in range(count):
    client.track(f"user-{number % 997}", "Product Viewed", {"number": number, "price": number / 4, "sku": f"S{number}"})
client.flush()
client.join()
"""

NODE_SENDER = """
const { Analytics } = require('@segment/analytics-node')
const [url, key, count] = process.argv.slice(2)
const analytics = new Analytics({ writeKey: key, host: url, maxEventsInBatch: 100, flushInterval: 200 })
analytics.on('error', (error) => { console.error(error); process.exitCode = 1 })
const pause = () => new Promise((resolve) => setTimeout(resolve, 5))
async function main() {
  for (let number = 0; number < Number(count); number++) {
    const userId = `user-${number % 997}`
    analytics.track({ userId, event: 'Product Viewed', properties: { number, price: number / 4 } })
    if (number % 100 === 99) await pause()
  }
  await analytics.closeAndFlush({ timeout: 60000 })
}
main()
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    with Program(tmp_path_factory.mktemp("sdks") / "data") as running:
        yield running


def counted(program: Program, schema: str) -> tuple[int, int]:
    program.cli("sync", "--wait")
    sql = f"select count(*) as n, count(distinct id) as ids from {schema}.tracks"
    row = program.query(sql)[0]
    return row["n"], row["ids"]


def test_ten_thousand_events_of_the_python_sdk_are_ten_thousand_rows(program, tmp_path):
    source = program.source("website")
    sender = tmp_path / "sender.py"
    sender.write_text(PYTHON_SENDER)
    subprocess.run([sys.executable, sender, program.url, source["writeKeys"][0], str(EVENTS)], check=True, timeout=240)
    assert counted(program, "website") == (EVENTS, EVENTS)
    row = program.query("select sum(number) as s, min(context_library_name) as l from website.product_viewed")[0]
    assert (row["s"], row["l"]) == (EVENTS * (EVENTS - 1) // 2, "analytics-python")


def test_ten_thousand_events_of_the_node_sdk_are_ten_thousand_rows(program, tmp_path):
    if not shutil.which("node") or not NODE_SDK.exists():
        pytest.skip("Segment's Node SDK is not installed: `make node-sdk` needs npm")
    source = program.source("server")
    sender = tmp_path / "sender.js"
    sender.write_text(NODE_SENDER)
    subprocess.run(
        ["node", sender, program.url, source["writeKeys"][0], str(EVENTS)],
        check=True,
        timeout=240,
        env={**program.environment, "NODE_PATH": str(NODE_SDK / "node_modules")},
    )
    assert counted(program, "server") == (EVENTS, EVENTS)


def test_another_process_reads_the_same_count_while_events_keep_flowing(program):
    source = program.source("flowing")
    batch = [{"type": "track", "userId": "u", "event": "Tick", "messageId": f"m{n}"} for n in range(2_000)]
    for start in range(0, 2_000, 100):
        body = {"writeKey": source["writeKeys"][0], "batch": batch[start : start + 100]}
        assert program.http("POST", "/v1/batch", body)[0] == 200
    program.cli("sync", "--wait")
    reader = (
        "import duckdb, sys; views = duckdb.connect(sys.argv[1], read_only=True);"
        "print(views.execute('select count(*) from flowing.tracks').fetchone()[0])"
    )
    views = str(program.data_dir / "warehouses" / "embedded" / "views.duckdb")
    for _ in range(5):
        assert (
            program.http("POST", "/v1/track", {"writeKey": source["writeKeys"][0], "userId": "u", "event": "More"})[0]
            == 200
        )
        seen = int(subprocess.run([sys.executable, "-c", reader, views], check=True, capture_output=True).stdout)
        assert seen >= 2_000
    program.cli("sync", "--wait")
    with duckdb.connect(views, read_only=True) as connection:
        assert connection.execute("select count(*), count(distinct id) from flowing.tracks").fetchone() == (
            2_005,
            2_005,
        )


def test_the_answer_to_a_created_source_has_segments_shape(program):
    made = program.source("shaped")
    assert made["slug"] == "shaped"
    assert made["enabled"] is True
    assert len(made["writeKeys"][0]) == 32
    assert made["metadata"]["slug"] == "http-api"
    assert json.dumps(made)
