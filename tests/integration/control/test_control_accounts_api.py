"""`/activecampaign/connections` over real HTTP: connect, switch, enter again, disconnect; nothing is given away."""

import pytest

API_KEY = "0123456789abcdef" * 4  # the one that the stand-in's account takes
BASE = "/activecampaign/connections"
URL = "https://acme.api-us1.com"


@pytest.fixture
def email(running):
    return running.control.sources.create(running.workspace.id, "email", "activecampaign")


@pytest.fixture
def website(running):
    return running.control.sources.create(running.workspace.id, "website", "http-api")


def body(source, **changed):
    return {"accountUrl": URL, "apiKey": API_KEY, "writeKey": source.write_keys[0]} | changed


@pytest.fixture
def connection(running, email):
    return running.api("POST", BASE, body(email))["connection"]


def names(running):
    return [name for name, _ in running.pipeline.asked]


def test_off_write_key_connect_on_last_event_enter_again_off(running, email, website):
    assert running.api("GET", BASE)["connections"] == []
    made = running.api("POST", BASE, body(email, accountUrl=f"{URL}/"))["connection"]
    assert (made["account"], made["accountUrl"], made["enabled"], made["state"]) == ("acme", URL, True, "waiting")
    assert made["source"] == {
        "id": email.id,
        "slug": "email",
        "name": "email",
        "schemaName": "email",
        "type": "activecampaign",
    }
    assert names(running) == ["check", "settle"]
    path = f"{BASE}/{made['id']}"
    off = running.api("PATCH", path, {"enabled": False})["connection"]
    assert (off["enabled"], off["webhook"]["state"]) == (False, "off")
    on = running.api("PATCH", path, {"enabled": True, "writeKey": website.write_keys[0]})["connection"]
    assert (on["enabled"], on["webhook"]["state"], on["source"]["slug"]) == (True, "ok", "website")
    assert running.api("GET", path)["connection"] == on
    assert [each["id"] for each in running.api("GET", BASE)["connections"]] == [made["id"]]
    gone = running.api("DELETE", path)
    assert gone == {"status": "SUCCESS", "webhookRemoved": True, "message": "Disconnected."}
    assert running.refused("GET", path)[:2] == (404, "not_found")


def test_the_webhook_is_down_before_the_account_is_forgotten(running, connection):
    running.api("DELETE", f"{BASE}/{connection['id']}")
    assert running.pipeline.webhooks == {connection["id"]: "off"}  # settled while it was still known, switched off


def test_what_cannot_be_taken_down_is_forgotten_all_the_same_and_says_what_is_left_to_do(running, connection):
    running.pipeline.is_account_away = True
    gone = running.api("DELETE", f"{BASE}/{connection['id']}")
    assert gone["webhookRemoved"] is False
    assert "by hand" in gone["message"]
    assert running.control.snapshot().accounts == ()


@pytest.mark.parametrize("type_", ["activecampaign", "http-api"])
def test_deleting_a_source_takes_its_accounts_webhook_down_first(running, type_):
    source = running.control.sources.create(running.workspace.id, "site", type_)
    made = running.api("POST", BASE, body(source))["connection"]
    assert running.api("DELETE", f"/sources/{source.id}") == {"status": "SUCCESS"}
    assert running.pipeline.webhooks == {made["id"]: "off"}
    assert running.control.snapshot().sources == running.control.snapshot().accounts == ()


def test_neither_key_nor_secret_is_ever_shown(running, email, connection):
    path = f"{BASE}/{connection['id']}"
    secret = running.control.snapshot().sources[0].webhook_secret
    answers = [
        running.http("GET", BASE),
        running.http("GET", path),
        running.http("PATCH", path, {"apiKey": API_KEY}),
        running.http("POST", BASE, body(email)),
        running.http("POST", f"{path}/rotate-secret", {}),
        running.http("POST", f"{path}/verify"),
        running.http("POST", BASE, body(email, apiKey="wrong" * 10)),
        running.http("GET", "/sources"),
        running.http("DELETE", path),
    ]
    new = running.control.snapshot().sources[0].webhook_secret
    for status, answer, _ in answers:
        assert status < 500
        assert not {each for each in (API_KEY, secret, new, "wrong" * 10) if each in str(answer)}
    assert answers[1][1]["data"]["connection"]["apiKey"] == "••••••••"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"writeKey": "x" * 32}, (422, "invalid_field", "writeKey")),
        ({"writeKey": ""}, (422, "invalid_field", "writeKey")),
        ({"apiKey": ""}, (422, "invalid_field", "apiKey")),
        ({"apiKey": "a" * 64}, (422, "invalid_field", "apiKey")),
        ({"apiKey": "a b"}, (422, "invalid_field", "apiKey")),
        ({"accountUrl": ""}, (422, "invalid_field", "accountUrl")),
        ({"accountUrl": "http://acme.api-us1.com"}, (422, "invalid_field", "accountUrl")),
        ({"settings": {"nothing": 1}}, (422, "invalid_field", "settings.nothing")),
        ({"settings": {"time_zone": 7}}, (422, "invalid_field", "settings.time_zone")),
        ({"listId": "3"}, (422, "unknown_field", "listId")),
        ({"enabled": True}, (422, "unknown_field", "enabled")),
    ],
)
def test_what_is_wrong_is_refused_by_name_and_nothing_is_stored(running, email, changed, expected):
    assert running.refused("POST", BASE, body(email, **changed)) == expected
    assert running.control.snapshot().accounts == ()
    assert "settle" not in names(running)


def test_a_disabled_source_a_taken_source_and_a_wrong_region_are_refused(running, start, email, website):
    running.api("POST", BASE, body(email))
    assert running.refused("POST", BASE, body(email, accountUrl="https://b.api-us1.com"))[:2] == (409, "conflict")
    running.control.sources.update(running.workspace.id, website.id, enabled=False)
    refused = running.refused("POST", BASE, body(website, accountUrl="https://b.api-us1.com"))
    assert refused == (422, "invalid_field", "writeKey")
    europe = start("eu")
    site = europe.control.sources.create(europe.workspace.id, "site", "http-api")
    status, answer, _ = europe.http("POST", BASE, body(site))
    assert (status, answer["errors"][0]["type"]) == (403, "forbidden")
    assert 'SOURCE_REGIONS="activecampaign=us,eu"' in answer["errors"][0]["message"]
    assert europe.pipeline.asked == []  # the key is not tried where it may not be used


def test_the_stored_key_is_sent_to_no_new_address(running, connection):
    path = f"{BASE}/{connection['id']}"
    for key in ({}, {"apiKey": "••••••••"}):
        asked = {"accountUrl": "https://attacker.example"} | key
        assert running.refused("PATCH", path, asked) == (422, "invalid_field", "apiKey")
    assert running.api("PATCH", path, {"accountUrl": f"{URL}/"})["connection"]["accountUrl"] == URL
    moved = running.api("PATCH", path, {"accountUrl": "https://new.api-us1.com", "apiKey": API_KEY})["connection"]
    assert (moved["accountUrl"], moved["account"]) == ("https://new.api-us1.com", "new")


def test_a_new_address_takes_the_webhook_down_at_the_former_one_first(running, connection, website):
    path = f"{BASE}/{connection['id']}"
    new = {"accountUrl": "https://new.api-us1.com", "apiKey": API_KEY}
    running.pipeline.seen.clear()
    assert running.api("PATCH", path, new)["connection"]["enabled"] is True
    assert running.pipeline.seen == [(URL, "off"), ("https://new.api-us1.com", "ok")]
    other = running.api("POST", BASE, body(website, accountUrl="https://taken.api-us1.com"))["connection"]
    running.pipeline.seen.clear()
    taken = {"accountUrl": "https://taken.api-us1.com", "apiKey": API_KEY}
    assert running.refused("PATCH", path, taken)[:2] == (409, "conflict")
    assert running.pipeline.seen == [("https://new.api-us1.com", "off"), ("https://new.api-us1.com", "ok")]
    assert [each["enabled"] for each in running.api("GET", BASE)["connections"]] == [True, True]
    running.api("PATCH", f"{BASE}/{other['id']}", {"enabled": False})
    moved = running.api("PATCH", f"{BASE}/{other['id']}", new | {"accountUrl": "https://third.api-us1.com"})
    assert moved["connection"]["enabled"] is False


def test_a_masked_key_sent_back_keeps_what_is_stored(running, connection):
    running.api("PATCH", f"{BASE}/{connection['id']}", {"apiKey": "••••••••", "enabled": True})
    assert running.control.snapshot().accounts[0].api_key == API_KEY


def test_nothing_is_changed_by_an_empty_change(running, connection):
    assert running.refused("PATCH", f"{BASE}/{connection['id']}", {})[:2] == (422, "invalid_field")


def test_a_pipeline_role_that_is_away_makes_the_state_unknown_and_no_error(running, email, connection):
    running.pipeline.is_down = True
    one = running.api("GET", f"{BASE}/{connection['id']}")["connection"]
    assert (one["state"], one["accountUrl"], one["enabled"]) == ("unknown", URL, True)
    assert "try again" in one["message"]
    assert running.api("GET", BASE)["connections"] == [one]
    status, answer, headers = running.http("POST", BASE, body(email))
    assert (status, headers["retry-after"]) == (503, "1")
    assert "pipeline role does not answer" in answer["errors"][0]["message"]
    assert running.http("POST", f"{BASE}/{connection['id']}/backfill", {})[0] == 503


def test_a_disabled_source_makes_its_connection_ask_for_attention(running, email, connection):
    running.control.sources.update(running.workspace.id, email.id, enabled=False)
    one = running.api("GET", f"{BASE}/{connection['id']}")["connection"]
    assert (one["state"], one["webhook"]["state"]) == ("attention", "off")
    assert "email is disabled" in one["message"]


def test_roles_read_change_and_delete(running, connection):
    path = f"{BASE}/{connection['id']}"
    assert running.api("GET", path, token="read-only")["connection"]["id"] == connection["id"]
    for method, where in (("PATCH", path), ("POST", f"{path}/verify"), ("POST", f"{path}/backfill")):
        assert running.refused(method, where, {}, token="read-only")[0] == 403
    for method, where in (("DELETE", path), ("POST", f"{path}/rotate-secret")):
        assert running.refused(method, where, None if method == "DELETE" else {}, token="member")[0] == 403


def test_a_rotation_moves_the_webhook_and_the_present_address_works_on(running, connection):
    before = running.control.snapshot().sources[0].webhook_secret
    path = f"{BASE}/{connection['id']}/rotate-secret"
    running.api("POST", path, {})
    source = running.control.snapshot().sources[0]
    assert source.webhook_secret != before == source.former_webhook_secret
    assert names(running)[-1] == "settle"
    running.api("POST", path, {"now": True})
    assert running.control.snapshot().sources[0].former_webhook_secret == ""


@pytest.mark.parametrize(("query", "overlaps"), [("", True), ("?now=false", True), ("?now", False), ("?now=1", False)])
def test_a_new_webhook_address_of_a_source_overlaps_unless_told(running, email, query, overlaps):
    made = running.api("POST", f"/sources/{email.id}/webhook-secret{query}")
    source = running.control.snapshot().sources[0]
    assert made["webhookPath"] == f"/webhooks/activecampaign/{source.webhook_secret}"
    assert source.former_webhook_secret == (email.webhook_secret if overlaps else "")


def test_a_backfill_passes_on_what_is_asked_as_an_instant(running, connection):
    path = f"{BASE}/{connection['id']}/backfill"
    asked = {"since": "2026-01-31", "campaigns": ["7", "8", "7"], "dryRun": True}
    run = running.api("POST", path, asked)["run"]
    assert (run["kind"], run["dryRun"]) == ("backfill", True)
    assert running.pipeline.asked[-1][1] == {
        "connection_id": connection["id"],
        "since": "2026-01-31T00:00:00.000000Z",
        "campaigns": ["7", "8"],
        "dry_run": True,
    }
    running.api("POST", path, {"since": "2026-01-31T08:00:00+02:00"})
    assert running.pipeline.asked[-1][1]["since"] == "2026-01-31T06:00:00.000000Z"
    assert running.refused("POST", path, {"since": "0001-01-01T00:00:00+14:00"})[:2] == (409, "conflict")  # it runs
    assert running.pipeline.asked[-1][1]["since"] == "2000-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("type_", ["activecampaign", "http-api"])
def test_settings_of_every_type_are_kept_and_told_with_their_type(running, type_):
    source = running.control.sources.create(running.workspace.id, "site", type_)
    given = {"unsubscribed_too": True, "merge_unsubscribes_s": 30, "time_zone": "Asia/Tokyo"}
    made = running.api("POST", BASE, body(source, settings=given))["connection"]
    assert made["settings"] == given
    path = f"{BASE}/{made['id']}"
    changed = running.api("PATCH", path, {"settings": {"merge_unsubscribes_s": 0}})["connection"]
    assert changed["settings"] == given | {"merge_unsubscribes_s": 0}
    for wrong in ({"unsubscribed_too": "yes"}, {"merge_unsubscribes_s": "30"}, {"merge_unsubscribes_s": 1.5}):
        (name,) = wrong
        assert running.refused("PATCH", path, {"settings": wrong})[2] == f"settings.{name}"
    options = running.api("GET", "/catalog/sources/activecampaign")["sourceMetadata"]["options"]
    types = {option["name"]: option["type"] for option in options}
    assert (types["unsubscribed_too"], types["merge_unsubscribes_s"], types["time_zone"]) == (
        "boolean",
        "number",
        "string",
    )


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-02-31"}, "since"),
        ({"since": "2026-01-31T08:00:00"}, "since"),
        ({"since": "2999-01-01"}, "since"),
        ({"since": ""}, "since"),
        ({"campaigns": []}, "campaigns"),
        ({"campaigns": ["../contacts"]}, "campaigns"),
        ({"campaigns": ["٣"]}, "campaigns"),
        ({"campaigns": ["7"] * 1_001}, "campaigns"),
        ({"dryRun": "yes"}, "dryRun"),
    ],
)
def test_a_backfill_that_cannot_be_meant_is_refused(running, connection, asked, field):
    path = f"{BASE}/{connection['id']}/backfill"
    assert running.refused("POST", path, asked) == (422, "invalid_field", field)
    assert "backfill" not in names(running)


def test_runs_are_begun_shown_and_cancelled(running, connection):
    path = f"{BASE}/{connection['id']}"
    assert running.api("POST", f"{path}/reconcile", {"campaigns": ["7"]})["run"]["kind"] == "reconciliation"
    assert [run["id"] for run in running.api("GET", f"{path}/runs?count=5")["runs"]] == ["r1"]
    assert running.pipeline.asked[-1][1]["count"] == 5
    assert running.api("POST", f"{path}/runs/r1/cancel")["run"]["state"] == "cancelled"
    assert running.refused("POST", f"{path}/runs/r2/cancel")[:2] == (404, "not_found")
    assert running.refused("GET", f"{path}/runs?count=0")[2] == "count"
    told = {"id": "7", "name": "Spring", "sentAt": None, "checkedAt": "2026-01-01T00:00:00Z", "readAt": None}
    running.pipeline.differences = [{**told, "equal": True, "counts": {}, "why": []}]
    assert running.api("GET", f"{path}/reconciliation")["campaigns"] == running.pipeline.differences


def test_complaints_are_passed_on_as_they_are(running, connection):
    path = f"{BASE}/{connection['id']}/complaints"
    rows = [{"email": "ada@example.org", "campaignId": "7", "at": "2026-01-31"}, {"contactId": "17"}]
    assert running.api("POST", path, {"rows": rows}) == {"count": 2}
    assert running.pipeline.asked[-1][1]["rows"] == [
        {"email": "ada@example.org", "contactId": "", "campaignId": "7", "at": "2026-01-31"},
        {"email": "", "contactId": "17", "campaignId": "", "at": ""},
    ]
    assert running.refused("POST", path, {"rows": []})[2] == "rows"
    assert running.refused("POST", path, {"rows": [{"e-mail": "x"}]})[1] == "unknown_field"


def test_unmapped_webhooks_are_listed_and_mapped_again(running, email):
    (found,) = running.api("GET", "/unmapped?sourceId=email&count=3")["unmapped"]
    assert found["reason"] == "no type"
    assert running.pipeline.asked[-1] == ("unmapped", {"source_id": email.id, "count": 3})
    assert running.api("POST", "/unmapped/retry", {}) == {"mapped": 1, "stillUnmapped": 2}
    running.api("POST", "/unmapped/retry", {"sourceId": email.id})
    assert running.pipeline.asked[-1] == ("retry_unmapped", {"source_id": email.id})
    assert running.refused("GET", "/unmapped?sourceId=nothing")[0] == 404
    assert running.api("GET", "/unmapped/3")["unmapped"]["body"] == "a=b"
    assert running.pipeline.asked[-1] == ("unmapped_one", {"inbox_seq": 3})
    for wrong in ("x", "-1", "9" * 40):
        assert running.refused("GET", f"/unmapped/{wrong}")[0] == 404
    assert running.refused("POST", "/unmapped/retry", {"sourceId": "nothing"})[0] == 404


def test_a_worker_that_hangs_does_not_hang_the_page(running, connection, email, monkeypatch):
    for bound in ("_STATUS_S", "_CHECK_S"):
        monkeypatch.setattr(f"headwater.control.connecting.{bound}", 0.05)
    running.pipeline.is_hanging = True  # for longer than this test's own client waits
    assert running.api("GET", f"{BASE}/{connection['id']}")["connection"]["state"] == "unknown"
    assert running.refused("POST", BASE, body(email))[:2] == (503, "unavailable")
