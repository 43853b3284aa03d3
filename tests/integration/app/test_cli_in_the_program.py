"""The commands of delivery against the real program: what is shown of a try, a refusal, its repeat and a replay."""

import json
import time
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from program import Program

WAIT_S = 20.0


@pytest.fixture
def receiver():
    """A receiver that takes what its list `refused` does not name."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            event = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.server.taken.append(event)
            self.send_response(400 if event["event"] in self.server.refused else 200)
            self.end_headers()
            self.wfile.write(b'{"told": "so"}')

        def log_message(self, *_args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.taken, server.refused = [], ["Bad"]
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def listed(program, *arguments, count):
    """Return a list as a command prints it, once it has so many."""
    deadline = time.monotonic() + WAIT_S
    while len(found := json.loads(program.cli(*arguments, "--json"))) != count:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def until_filtered(program, receiver):
    """Try until the engine knows of the filter, which the control plane has stored."""
    deadline = time.monotonic() + WAIT_S
    while "ip" in receiver.taken[-1]["context"]:
        assert time.monotonic() < deadline
        program.cli("destinations", "test", "Hook", "--sample", "track")


def test_a_destination_is_tried_mended_and_replayed_from_the_shell(tmp_path, receiver):
    with Program(tmp_path / "data", allow_networks="127.0.0.0/8") as program:
        source = json.loads(program.cli("sources", "create", "shop", "--type", "http-api", "--json"))
        url = f"url=http://127.0.0.1:{receiver.server_port}/"
        program.cli("destinations", "create", "--source", "shop", "--type", "webhook", "--name", "Hook", "--set", url)
        program.cli("filters", "create", "Hook", "--if", "all", "--drop-fields", "context.ip")
        tried = program.cli("destinations", "test", "Hook", "--sample", "track")
        assert "\nHTTP 200 after " in tried
        assert tried.splitlines()[-5:] == ["  {", '    "told": "so"', "  }", "", "Delivered."]
        until_filtered(program, receiver)
        as_it_is = json.loads(program.cli("destinations", "test", "Hook", "--sample", "track", "--as-is", "--json"))
        assert (as_it_is["outcome"], "ip" in receiver.taken[-1]["context"]) == ("delivered", True)
        key = {"authorization": f"Basic {b64encode((source['writeKeys'][0] + ':').encode()).decode()}"}
        for number, name in enumerate(("Good", "Bad", "Bad")):
            event = {"event": name, "userId": f"u{number}", "messageId": f"m{number}"}
            assert program.http("POST", "/v1/track", event, headers=key)[0] == 200
        dead = listed(program, "dead-letters", "list", "--destination", "Hook", "--event", "Bad", count=2)
        assert {each["status"] for each in dead} == {400}
        assert program.cli("dead-letters", "list", "--event", "Good") == ""
        receiver.refused.clear()
        assert program.cli("dead-letters", "retry", "--destination", "Hook", "--yes") == "2 are tried again.\n"
        listed(program, "dead-letters", "list", count=0)
        again = ("replay", "--destination", "Hook", "--user", "u1")
        assert program.cli(*again, "--dry-run") == "1 event would be delivered again.\n"
        run = json.loads(program.cli(*again, "--wait", "--json"))
        assert (run["state"], run["selected"], run["delivered"]) == ("done", 1, 1)
        (shown,) = listed(program, "replays", "list", "--destination", "Hook", count=1)
        assert shown["id"] == run["id"]
        assert [each["messageId"] for each in receiver.taken[-1:]] == ["m1"]
        totals = json.loads(program.cli("destinations", "metrics", "Hook", "--json"))["totals"]
        assert (totals["failed"], totals["deliveredFirstTry"] + totals["deliveredOnRetry"]) == (2, 4)
