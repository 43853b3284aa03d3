"""A destination's whole life in the real program: filtered, mapped, refused, killed, mended, replayed, counted."""

import json
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from program import Program

WAIT_S = 20.0
CLEAN = """
async function onTrack(event, settings) {
  if (event.properties.test) throw new DropEvent('a test order')
  event.context.traits.email = event.context.traits.email.trim().toLowerCase()
  event.properties.shop = settings.shop
  return event
}
"""
MAPPED = {
    "event": {"@case": {"operator": "snake", "value": {"@path": "$.event"}}},
    "properties.value": {"@path": "$.properties.total"},
}


class Receiver(ThreadingHTTPServer):
    """Keeps what it takes with its id; refuses orders by number."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.refused = set()
        self.asked = []
        self.taken = []

    def orders(self):
        return Counter(event["properties"]["order_id"] for _, event in self.taken)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        webhook_id, order = self.headers["webhook-id"], event["properties"]["order_id"]
        self.server.asked.append((webhook_id, order))
        is_refused = order in self.server.refused
        if not is_refused:
            self.server.taken.append((webhook_id, event))
        self.send_response(400 if is_refused else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_args):
        pass


@pytest.fixture
def receiver():
    with Receiver() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def program(tmp_path):
    with Program(tmp_path / "data", allow_networks="127.0.0.0/8") as running:
        yield running


def until(look):
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {WAIT_S:g} seconds")


def connection(program):
    found = program.api("GET", "/connections")["connections"]
    return found[0] if found else {"state": "unknown", "read": 0}


def prepared(program, receiver):
    """Return a source and its webhook with a filter, a mapping and an insert function, which the engine knows."""
    source = program.source("shop")
    body = {"sourceId": source["id"], "metadataId": "webhook", "name": "Hook", "enabled": False}
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    hook = program.api("POST", "/destinations", body | {"settings": {"url": url}})["destination"]
    hidden = {"type": "DROP_PROPERTIES", "fields": {"context": ["ip"]}}
    for title, condition, action in (
        ("No drafts", "event = 'Order Drafted'", {"type": "DROP"}),
        ("No addresses", "all", hidden),
    ):
        wanted = {"title": title, "if": condition, "actions": [action]}
        program.api("POST", f"/destination/{hook['id']}/filters", wanted)
    mapping = {"name": "Orders", "trigger": "match(event, 'Order *')", "settings": MAPPED}
    program.api("POST", f"/destinations/{hook['id']}/subscriptions", mapping)
    code = {"code": CLEAN, "displayName": "Clean", "resourceType": "INSERT_DESTINATION"}
    function = program.api("POST", "/functions", code | {"settings": [{"name": "shop"}]})["function"]
    program.api("POST", f"/functions/{function['id']}/deploy", {})
    insert = {"functionId": function["id"], "integrationId": hook["id"], "name": "Clean", "enabled": True}
    program.api("POST", "/insert-function-instances", insert | {"settings": {"shop": "north"}})
    program.api("PATCH", f"/destinations/{hook['id']}", {"enabled": True})
    until(lambda: connection(program)["state"] == "active")
    return source, hook


def accept(program, source, *orders):
    """Send events: (number, user, name, more properties)."""
    batch = [
        {
            "type": "track",
            "messageId": f"m-{number}",
            "userId": user,
            "event": name,
            "properties": {"order_id": number, "total": 10 * number, **more},
            "context": {"ip": "203.0.113.7", "traits": {"email": f" {user}@Example.com"}},
        }
        for number, user, name, more in orders
    ]
    status, answer = program.http("POST", "/v1/batch", {"writeKey": source["writeKeys"][0], "batch": batch})
    assert (status, json.loads(answer)["success"]) == (200, True)


def test_a_destination_from_its_first_event_to_a_clean_account(program, receiver):
    source, hook = prepared(program, receiver)
    receiver.refused = {3}
    accept(
        program,
        source,
        (1, "ann", "Order Completed", {}),
        (2, "bob", "Order Completed", {}),
        (3, "ann", "Order Completed", {}),
        (4, "ann", "Order Drafted", {}),
        (5, "ann", "Product Viewed", {}),
        (6, "ann", "Order Completed", {"test": True}),
        (7, "bob", "Order Refunded", {}),
    )
    until(lambda: connection(program)["read"] == 7 and connection(program)["pending"] == 0)
    assert receiver.orders() == {1: 1, 2: 1, 7: 1}
    sent = {event["properties"]["order_id"]: event for _, event in receiver.taken}
    assert sent[7]["event"] == "order_refunded"
    assert sent[7]["properties"] == {"order_id": 7, "total": 70, "value": 70, "shop": "north"}
    assert sent[7]["context"] == {"traits": {"email": "bob@example.com"}}
    status = connection(program)
    assert status["filtered"] == {"FILTERED_BY_RULES": 1, "NO_MATCHING_MAPPING": 1, "FILTERED_BY_FUNCTION": 1}
    assert (status["deliveredFirstTry"], status["dead"]) == (3, 1)
    _, row, advice = program.cli("destinations", "status").splitlines()
    assert row.split()[:7] == ["Hook", "active", "7", "3", "3", "0", "1"], "read, delivered, filtered, pending, dead"
    assert advice == "Hook: 1 event was given up. The dead letters say why; retry or discard them."

    program.kill()
    program.start()
    until(lambda: connection(program)["state"] == "active")
    [letter] = program.api("GET", f"/dead-letters?destinationId={hook['id']}")["deadLetters"]
    assert letter["messageId"] == "m-3"
    receiver.refused = set()
    chosen = {"destinationId": hook["id"], "event": "Order Completed", "reason": letter["reason"]}
    assert program.api("POST", "/dead-letters/retry", chosen | {"dryRun": True}) == {"count": 1}
    assert program.api("POST", "/dead-letters/retry", chosen) == {"count": 1}
    until(lambda: receiver.orders()[3] == 1)

    asked = {"destinationId": hook["id"], "userId": "ann"}
    counted = program.api("POST", "/replay", asked | {"dryRun": True})
    assert (counted["count"], receiver.orders()) == (4, {1: 1, 2: 1, 3: 1, 7: 1})
    program.api("POST", "/replay", asked)
    [run] = until(lambda: [each for each in program.api("GET", "/replays")["replays"] if each["state"] == "done"])
    assert (run["delivered"], receiver.orders()) == (2, {1: 2, 2: 1, 3: 2, 7: 1})

    ids = {order: {webhook_id for webhook_id, each in receiver.asked if each == order} for order in (1, 2, 3, 7)}
    assert all(len(each) == 1 for each in ids.values()), "an event has one id, in every attempt and replay"
    until(lambda: connection(program)["dead"] == 0)
    told = json.loads(program.cli("doctor", "--json"))
    assert f"conservation Hook ({hook['id']})" in [each["name"] for each in told["findings"]]
    assert told["ok"]
