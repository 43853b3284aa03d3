"""kill -9 of the whole program under load: acknowledged is a subset of stored, and each id is there once everywhere."""

import json
import os
import random
import threading
import time
import urllib.request
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from program import Program

BATCH = 10
PAUSE_S = 0.1  # the receiver is a few lines of Python; the load leaves it time to follow


class Receiver(ThreadingHTTPServer):
    """An idempotent webhook receiver: what it holds is keyed by `webhook-id`."""

    daemon_threads = True

    def __init__(self):
        self.held: dict[str, set[str]] = {}
        self.calls = 0
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.held.setdefault(self.headers["webhook-id"], set()).add(body["messageId"])
        self.server.calls += 1
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Client(threading.Thread):
    """Sends batches for ever, each again with the same ids until it is acknowledged; keeps a ledger."""

    def __init__(self, name, program, key, stop):
        super().__init__(name=name, daemon=True)
        self.program, self.key, self.stop = program, key, stop
        self.sent, self.acknowledged = set(), set()

    def run(self):
        number = 0
        while not self.stop.is_set():
            ids = [f"{self.name}-{number}-{item}" for item in range(BATCH)]
            number += 1
            self.sent.update(ids)
            while not self.stop.is_set():
                if self.send(ids):
                    self.acknowledged.update(ids)
                    break
                time.sleep(PAUSE_S)
            time.sleep(PAUSE_S)

    def send(self, ids):
        batch = [{"type": "track", "userId": self.name, "event": "Tick", "messageId": each} for each in ids]
        body = json.dumps({"writeKey": self.key, "batch": batch}).encode()
        try:
            request = urllib.request.Request(f"{self.program.url}/v1/batch", body, {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.loads(answer.read())["success"]
        except (OSError, KeyError, ValueError, HTTPException):
            return False


def killed_under_load(tmp_path, kills, seed):
    print(f"seed {seed}")
    chance = random.Random(seed)
    receiver = Receiver()
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    program = Program(tmp_path / "data", allow_networks="127.0.0.0/8")
    with program:
        source = program.source("website")
        program.destination(source, "webhook", {"url": f"http://127.0.0.1:{receiver.server_port}/hook"})
        time.sleep(2.5)  # a configuration change reaches every role within two seconds
        stop = threading.Event()
        clients = [Client(f"c{n}", program, source["writeKeys"][0], stop) for n in range(4)]
        for client in clients:
            client.start()
        for _ in range(kills):
            time.sleep(chance.uniform(0.2, 1.5))
            program.kill()
            program.start()
        time.sleep(1)
        stop.set()
        for client in clients:
            client.join(timeout=30)
        acknowledged = set().union(*(client.acknowledged for client in clients))
        sent = set().union(*(client.sent for client in clients))
        program.cli("sync", "--wait")
        rows = program.ids("website.tracks")
        settled(program, len(set(rows)))
        return receiver, acknowledged, sent, rows


def settled(program, expected):
    """Wait until every event of the log has been delivered."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        delivered = program.metric("headwater_delivery_events_total", outcome="delivered")
        if delivered >= expected and program.metric("headwater_delivery_pending") == 0:
            return
        time.sleep(0.5)
    raise AssertionError(f"events still pending after two minutes; {expected} rows are in the warehouse")


def check(outcome):
    receiver, acknowledged, sent, rows = outcome
    assert len(acknowledged) > 100
    assert acknowledged <= set(rows) <= sent
    assert len(rows) == len(set(rows))
    assert all(len(ids) == 1 for ids in receiver.held.values())
    held = [next(iter(ids)) for ids in receiver.held.values()]
    assert len(held) == len(set(held))
    assert set(held) == set(rows)
    print(f"{len(acknowledged)} acknowledged, {len(rows)} rows, {receiver.calls} calls for {len(held)} deliveries")


def seed():
    return int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


@pytest.mark.timeout(600)
def test_twenty_kills_under_load_lose_nothing_and_double_nothing(tmp_path):
    check(killed_under_load(tmp_path, 20, seed()))


@pytest.mark.torture
@pytest.mark.timeout(7_200)
def test_five_hundred_kills_under_load_lose_nothing_and_double_nothing(tmp_path):
    check(killed_under_load(tmp_path, 500, seed()))
