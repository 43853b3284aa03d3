"""What users, scripts and checks rely on, line by line, against the real program."""

import base64
import gzip
import json
import os
import subprocess
import sys
import time
import urllib.request

import duckdb
import pytest

from program import Program

CALLS = {
    "track": {"event": "Contract Kept", "userId": "u"},
    "identify": {"userId": "u", "traits": {"plan": "pro"}},
    "page": {"userId": "u", "name": "Home"},
    "screen": {"userId": "u", "name": "Home"},
    "group": {"userId": "u", "groupId": "g", "traits": {"name": "Acme"}},
    "alias": {"userId": "u", "previousId": "p"},
}
SHORT = {"track": "t", "identify": "i", "page": "p", "screen": "s", "group": "g", "alias": "a"}
TABLES = {
    "tracks": {"event", "event_text", "user_id"},
    "contract_kept": {"event", "event_text", "user_id"},
    "identifies": {"plan", "user_id"},
    "pages": {"name", "user_id"},
    "screens": {"name", "user_id"},
    "groups": {"group_id", "name"},
    "aliases": {"previous_id", "user_id"},
}
STORED = (200, b'{"success": true}')
ALWAYS = {"id", "anonymous_id", "received_at", "sent_at", "original_timestamp", "timestamp", "uuid_ts"}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    with Program(tmp_path_factory.mktemp("contract") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def source(program):
    made = program.source("contract")
    wait_for_key(program, made["writeKeys"][0])
    return made


@pytest.fixture(scope="module")
def key(source):
    return source["writeKeys"][0]


def basic(key):
    return {"authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def wait_for_key(program, key):
    deadline = time.monotonic() + 10
    while program.http("GET", f"/v1/projects/{key}/settings")[0] != 200:  # a new source reaches the door within 2 s
        assert time.monotonic() < deadline
        time.sleep(0.02)


def refused(answer, status):
    """Assert the shape of every error of the Tracking API, and return its code."""
    assert answer[0] == status, answer
    told = json.loads(answer[1])
    assert told["success"] is False
    assert told["message"]
    return told["code"]


def run(*arguments, environment=None, cwd=None):
    """Run the program as a shell does, without any server of ours around."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    return subprocess.run(
        [sys.executable, "-m", "headwater", *arguments],
        env={**clean, **(environment or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# 1. Commands


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "told"),
    [
        (("nosuch",), {}, 2, "No such command"),
        (("serve", "--role", "captain"), {}, 2, "--role"),
        (("serve",), {"HEADWATER_REGION": "moon"}, 1, "REGION='moon' is wrong"),
        (("serve",), {"HEADWATER_COLOUR": "red"}, 1, "Unknown setting COLOUR"),
        (("serve", "--data-dir", "a-file/inside"), {}, 1, "choose another"),
        (("token", "create", "--name", "ci", "--data-dir", "a-file/inside"), {}, 1, "choose another"),
        (("sources", "list"), {"HEADWATER_URL": "http://127.0.0.1:1"}, 1, "headwater serve"),
        (("tail", "--url", "http://127.0.0.1:1"), {}, 1, "headwater serve"),
        (("query", "select 1", "--url", "ftp://x"), {}, 2, "http://localhost:8080"),
    ],
)
def test_what_is_wrong_is_told_on_stderr_without_a_traceback(tmp_path, arguments, environment, status, told):
    (tmp_path / "a-file").write_text("")
    done = run(*arguments, environment=environment, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    "arguments",
    [
        *((family, verb) for family in ("sources", "destinations", "warehouses") for verb in ("list", "catalog")),
        ("sources", "show", "contract"),
        ("sources", "add-write-key", "contract"),
        ("token", "list"),
        ("dead-letters", "list"),
        ("rejections", "list"),
        ("sync",),
        ("sync", "--wait"),
        ("doctor",),
    ],
)
def test_json_is_json_wherever_something_is_printed(program, arguments):
    assert json.loads(program.cli(*arguments, "--json")) is not None


@pytest.mark.usefixtures("source")
def test_a_token_by_flag_or_environment_opens_the_server_and_a_wrong_one_does_not(program, tmp_path):
    by_flag = run("sources", "list", "--json", "--url", program.url, "--token", program.token, cwd=tmp_path)
    environment = {"HEADWATER_URL": program.url, "HEADWATER_TOKEN": program.token}
    by_environment = run("sources", "list", "--json", environment=environment, cwd=tmp_path)
    assert json.loads(by_flag.stdout) == json.loads(by_environment.stdout) != []
    wrong = run("sources", "list", "--url", program.url, "--token", "hwt_wrong", cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "--token" in wrong.stderr


# 2. Settings


def test_the_secret_key_is_made_on_the_first_start_for_its_owner_alone(program):
    assert (program.data_dir / "secret.key").stat().st_mode & 0o777 == 0o600


def test_the_environment_wins_over_headwater_toml_and_the_file_is_checked(tmp_path):
    (tmp_path / "headwater.toml").write_text('region = "moon"\n')
    assert "REGION='moon' is wrong" in run("serve", "--data-dir", str(tmp_path)).stderr
    done = run("doctor", "--json", "--data-dir", str(tmp_path), environment={"HEADWATER_REGION": "eu"})
    assert json.loads(done.stdout)["findings"][0]["ok"] is True


# 3. Addresses


@pytest.mark.parametrize("path", [name for pair in SHORT.items() for name in pair])
def test_every_call_is_taken_by_its_name_and_its_short_name(program, key, path):
    call = next(name for name, short in SHORT.items() if path in {name, short})
    assert program.http("POST", f"/v1/{path}", CALLS[call], headers=basic(key)) == STORED


@pytest.mark.parametrize("path", ["batch", "b", "import"])
def test_a_batch_stores_the_valid_and_names_the_invalid(program, key, path):
    items = [{"type": name, **call} for name, call in CALLS.items()]
    status, answer = program.http("POST", f"/v1/{path}", {"batch": [*items, {"type": "track"}]}, headers=basic(key))
    told = json.loads(answer)
    assert (status, told["success"]) == (200, True)
    assert [set(each) >= {"index", "code"} and each["index"] for each in told["rejected"]] == [len(items)]


def test_browsers_metrics_are_answered_and_a_pixel_is_a_picture(program, key):
    assert program.http("POST", "/v1/m", {"series": []})[0] == 200
    for call, body in CALLS.items():
        packed = base64.urlsafe_b64encode(json.dumps({**body, "writeKey": key}).encode()).decode()
        status, picture = program.http("GET", f"/v1/pixel/{call}?data={packed}")
        assert (status, picture[:3]) == (200, b"GIF")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/live", 200),
        ("GET", "/health/ready", 200),
        ("GET", "/metrics", 200),
        ("GET", "/", 200),  # urllib follows the way to the sign-in page
        ("GET", "/api/sources", 401),
        ("GET", "/v1/projects/unknown/settings", 404),
        ("GET", "/v1/track", 405),
        ("POST", "/v1/nothing", 404),
        ("GET", "/default/sources", 200),
    ],
)
def test_every_address_answers(program, method, path, status):
    assert program.http(method, path)[0] == status


@pytest.mark.parametrize("kind", ["basic", "body", "bearer", "gzip", "text/plain"])
def test_the_key_and_the_body_come_in_every_form(program, key, kind):
    plain = {"userId": "u", "event": kind}
    body, headers = json.dumps({**plain, "writeKey": key}).encode(), {"content-type": "application/json"}
    if kind == "basic":
        body, headers = json.dumps(plain).encode(), headers | basic(key)
    elif kind == "bearer":
        headers["authorization"] = "Bearer anything"
    elif kind == "gzip":
        body, headers["content-encoding"] = gzip.compress(body), "gzip"
    elif kind == "text/plain":
        headers["content-type"] = "text/plain;charset=UTF-8"
    assert program.http("POST", "/v1/track", body, headers=headers) == STORED


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {"content-type": "application/json"}, 400),
        (b'{"event": 7, "userId": "u"}', {"content-type": "application/json"}, 400),
        (b'{"event": "e", "userId": "%s"}' % (b"x" * 33_000), {"content-type": "application/json"}, 400),
        (
            b'{"event": "e", "userId": "u", "messageId": "%s"}' % (b"m" * 101),
            {"content-type": "application/json"},
            400,
        ),
        (b"x" * 2_000_000, {"content-type": "application/json"}, 413),
        (b"<xml/>", {"content-type": "application/xml"}, 415),
    ],
)
def test_a_bad_call_is_refused_with_a_code_and_a_sentence(program, key, body, headers, status):
    assert refused(program.http("POST", "/v1/track", body, headers={**headers, **basic(key)}), status)


def test_an_unknown_key_is_refused_and_a_disabled_source_forbidden(program):
    refused(program.http("POST", "/v1/track", CALLS["track"], headers=basic("unknown")), 401)
    off = program.source("switched_off")
    wait_for_key(program, off["writeKeys"][0])
    program.cli("sources", "disable", "switched_off")
    deadline = time.monotonic() + 10
    while (answer := program.http("POST", "/v1/track", CALLS["track"], headers=basic(off["writeKeys"][0])))[0] == 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    refused(answer, 403)


def test_browsers_may_call_from_any_origin(program):
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    request = urllib.request.Request(program.url + "/v1/t", headers=asked, method="OPTIONS")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["access-control-allow-origin"] in {"*", "https://shop.example"}


@pytest.mark.parametrize("body", [b"type=open", b"type=never-heard-of", b"", b'{"event": "x"}'])
def test_a_webhook_is_taken_whatever_it_says_and_only_at_its_secret_address(program, body):
    name = "hooks"
    found = [each for each in program.api("GET", "/sources?pagination.count=100")["sources"] if each["slug"] == name]
    made = found[0] if found else program.source(name, "activecampaign")
    address = program.api("POST", f"/sources/{made['id']}/webhook-secret", {})["webhookPath"]
    deadline = time.monotonic() + 10
    while (status := program.http("POST", address, body)[0]) == 403:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert status == 200
    assert program.http("POST", "/webhooks/activecampaign/wrong", body)[0] == 403


# 5. Warehouse


def test_each_call_has_its_table_with_segments_columns_and_each_id_one_row(program, key):
    batch = [{"type": name, "messageId": f"once-{name}", **call} for name, call in CALLS.items()]
    for _ in range(3):
        program.http("POST", "/v1/batch", {"batch": batch}, headers=basic(key))
    program.cli("sync", "--wait")
    views = program.data_dir / "warehouses" / "embedded" / "views.duckdb"
    with duckdb.connect(views, read_only=True) as connection:  # another process, while the program runs
        for table, columns in TABLES.items():
            found = connection.execute(f"select * from contract.{table} where id like 'once-%'")
            assert {column[0] for column in found.description} >= ALWAYS | columns, table
            assert len(found.fetchall()) == 1, table
        assert connection.execute("select plan from contract.users where id = 'u'").fetchall() == [("pro",)]
        assert connection.execute("select name from contract.accounts where id = 'g'").fetchall() == [("Acme",)]


# 2, 3 and 6: what another region and another policy answer


def test_another_region_and_a_lenient_door_answer_as_they_were_told(tmp_path):
    with Program(tmp_path / "data", region="eu", unknown_write_key="accept") as lenient:
        catalog = json.loads(lenient.cli("sources", "catalog", "--json"))
        assert "us" in json.dumps(next(each for each in catalog if each["slug"] == "activecampaign"))
        headers = {"authorization": f"Bearer {lenient.token}"}
        body = {"slug": "mail", "enabled": True, "metadataId": "activecampaign"}
        assert lenient.http("POST", "/api/sources", body, headers=headers)[0] == 403
        assert lenient.http("POST", "/v1/track", CALLS["track"], headers=basic("unknown")) == STORED
        assert lenient.metric("headwater_rejected_total") == 1
        assert lenient.metric("headwater_accepted_total") == 0
