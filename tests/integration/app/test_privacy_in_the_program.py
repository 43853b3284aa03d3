"""A person who asks to be forgotten, in the real program: found everywhere, erased, proven, and not stored again."""

import base64
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from program import Program

MARK = "canary7f3a91"
EMAIL, USER, DEVICE = f"{MARK}.mail@example.org", f"{MARK}-user", f"{MARK}-device"
WAIT_S = 60


class Refusing(BaseHTTPRequestHandler):
    """Refuses every event with an answer that repeats it, and takes deletions."""

    deletions: ClassVar[list] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        is_deletion = json.loads(body).get("type") == "delete"
        if is_deletion:
            self.deletions.append(json.loads(body))
        self.send_response(200 if is_deletion else 400)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    Refusing.deletions.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def until(done, what):
    deadline = time.monotonic() + WAIT_S
    while not (found := done()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return found


def places(directory):
    """Return the files in which the canary's strings stand, byte for byte."""
    return sorted(
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() and MARK.encode() in path.read_bytes().lower()
    )


def send(program, key, *batch):
    headers = {"authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}
    return program.http("POST", "/v1/batch", {"batch": list(batch)}, headers=headers)


def canary():
    """Return events of one person, each of whom is found another way."""
    context = {"traits": {"email": EMAIL.upper()}}
    return [
        {"type": "identify", "userId": USER, "anonymousId": DEVICE, "traits": {"email": EMAIL}, "messageId": "c1"},
        {"type": "track", "event": "Seen", "anonymousId": DEVICE, "messageId": "c2"},
        {"type": "track", "event": "Seen", "userId": USER, "properties": {"a": {"b": [MARK]}}, "messageId": "c3"},
        {"type": "track", "event": "Seen", "anonymousId": "x", "context": context, "messageId": "c4"},
        {"type": "page", "anonymousId": "x", "properties": {"url": f"https://e.org/?m={EMAIL.replace('@', '%40')}"}}
        | {"messageId": "c5"},
        {"type": "track", "event": "Seen", "anonymousId": EMAIL, "messageId": "c6"},
        {"type": "alias", "userId": USER, "previousId": f"{MARK}-former", "messageId": "c7"},
        {"type": "track", "event": "Seen", "userId": f"{MARK}-former", "messageId": "c8"},
        {"type": "track", "event": 7, "userId": USER, "properties": {"email": EMAIL}},  # refused: its sample is kept
    ]


def test_t118_g2_a_person_is_erased_everywhere_and_stays_away(tmp_path, receiver):
    with Program(tmp_path / "data", allow_networks="127.0.0.0/8") as program:
        source = program.api(
            "POST", "/sources", {"slug": "site", "enabled": True, "metadataId": "http-api", "settings": {}}
        )["source"]
        key = source["writeKeys"][0]
        hook = {"sourceId": source["id"], "metadataId": "webhook", "name": "refuses", "enabled": True}
        program.api("POST", "/destinations", hook | {"settings": {"url": receiver}})
        others = [{"type": "track", "event": "Seen", "userId": f"other{n}", "messageId": f"o{n}"} for n in range(20)]
        assert send(program, key, *canary(), *others)[0] == 200
        until(lambda: len(program.api("GET", "/dead-letters?count=100")["deadLetters"]) == 28, "dead letters")
        program.cli("sync", "--wait")
        until(lambda: program.api("GET", "/rejections")["rejections"], "rejections")
        assert places(program.data_dir), "the search itself works"

        whom = {"subjectType": "EMAIL", "subjectIds": [EMAIL.upper()]}
        found = program.api("POST", "/people/preview", whom)
        assert {each["subjectId"] for each in found["linked"]} >= {USER, DEVICE, EMAIL, f"{MARK}-former"}
        counts = {each["name"]: each["count"] for each in found["stores"]}
        assert (counts["log.events"], counts["delivery"]) == (8, 8)
        assert counts["log.rejected"] >= 1
        assert [count for name, count in counts.items() if name.startswith("warehouse.")] > [0]

        made = program.api("POST", "/regulations", whom | {"regulationType": "SUPPRESS_WITH_DELETE"})["regulateId"]
        program.kill()  # somewhere in the middle of it
        program.start()
        told = until(lambda: finished(program, made), "the regulation")
        assert told["overallStatus"] == "FINISHED", told
        assert all(store["after"] == 0 for store in told["receipt"]["stores"]), told
        assert told["receipt"]["search"]["found"] == {}, told
        assert MARK not in json.dumps(told)
        assert {"userId": USER, "type": "delete"} in Refusing.deletions
        assert places(program.data_dir) == []

        assert send(program, key, *canary()[:8])[0] == 200  # the sender learns nothing
        program.cli("sync", "--wait")
        assert program.query("select count(*) as n from site.tracks")[0]["n"] == 20
        assert len(program.api("GET", "/dead-letters?count=100")["deadLetters"]) == 20
        assert places(program.data_dir) == []
        assert "conserv" not in "".join(each for each in program.cli("doctor", check=False).splitlines() if "✗" in each)


def finished(program, regulation):
    told = program.api("GET", f"/regulations/{regulation}")["regulation"]
    return told if told["overallStatus"] not in {"INITIALIZED", "RUNNING"} else None
