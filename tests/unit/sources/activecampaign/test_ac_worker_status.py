"""What the status says: whole, in the words of the API, and without the secret."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from headwater import sqlite
from headwater.budget import Use
from headwater.sources.activecampaign.connection.health import Health, Healths, Untracked
from headwater.sources.activecampaign.connection.silence import Look, Silence, Sums
from headwater.sources.activecampaign.connection.states import WebhookState
from headwater.sources.activecampaign.connection.status import Known, budget, described, masked
from headwater.sources.activecampaign.memory.ledger import LastEvent
from headwater.sources.contract import Account, Origin

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "https://events.example.com/webhooks/activecampaign/s3cret"
ACCOUNT = Account("con", "src", "ws", "https://acme.api-us1.com", "k3y", enabled=True, webhook_url=URL)
WELL = Health(base=ACCOUNT.url, webhook_id="7", webhook=WebhookState.OK, checked_at=NOW, repairs=2)
LAST = LastEvent("Email Opened", NOW - timedelta(seconds=3), NOW, Origin.WEBHOOK)


def codes(health=WELL, account=ACCOUNT, arrived=5):
    return [each["code"] for each in described(Known(account, health, arrived, LAST, NOW))["warnings"]]


def test_a_connection_that_sends_is_told_whole():
    assert described(Known(ACCOUNT, WELL, 5, LAST, NOW)) == {
        "state": "sending",
        "message": "Currently sending. Last event: Email Opened, 2026-03-01 11:59:57 UTC.",
        "webhook": {
            "state": "ok",
            "id": "7",
            "address": "https://events.example.com/webhooks/activecampaign/••••",
            "checkedAt": "2026-03-01T12:00:00.000Z",
            "repairs": 2,
            "message": "",
        },
        "lastEvent": {
            "event": "Email Opened",
            "at": "2026-03-01T11:59:57.000Z",
            "receivedAt": "2026-03-01T12:00:00.000Z",
            "origin": "webhook",
        },
        "warnings": [],
    }


def test_a_new_connection_is_told_whole():
    found = described(Known(ACCOUNT, Health(), 0, None, NOW))
    assert (found["state"], found["lastEvent"], found["warnings"]) == ("connecting", None, [])
    assert (found["webhook"]["state"], found["webhook"]["checkedAt"]) == ("unknown", None)


def test_pitfall_35_neither_the_secret_nor_the_key_is_in_a_status_or_a_representation():
    local = msgspec.structs.replace(WELL, webhook=WebhookState.UNKNOWN, complaint="No answer.")
    for health in (WELL, local, Health()):
        told = json.dumps(described(Known(ACCOUNT, health, 0, None, NOW))) + repr(ACCOUNT) + repr(health)
        assert "s3cret" not in told
        assert "k3y" not in told


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "https://events.example.com/webhooks/activecampaign/••••"),
        ("http://127.0.0.1:8080/hw/webhooks/activecampaign/s", "http://127.0.0.1:8080/hw/webhooks/activecampaign/••••"),
        (
            "https://events.example.com/webhooks/activecampaign/s?x=s",
            "https://events.example.com/webhooks/activecampaign/••••",
        ),
    ],
)
def test_the_address_is_shown_without_its_secret(url, shown):
    assert masked(url) == shown


def warned(**changed):
    return codes(msgspec.structs.replace(WELL, **changed))


def test_every_warning_has_its_code():
    silent = NOW - timedelta(hours=2)
    look = Look(Sums(), 0)
    assert codes() == []
    assert warned(webhook=WebhookState.UNKNOWN, complaint="No answer.") == ["account_unreachable"]
    assert warned(webhook=WebhookState.UNKNOWN, complaint="No.", refused=True) == []  # the state itself says it
    assert warned(blind="It is refused.") == ["campaigns_unreadable"]
    assert warned(refused_events=("deal_add",)) == ["events_refused"]
    assert warned(silence=Silence(look, silent_at=silent, lasting=True)) == ["webhook_silent"]
    assert warned(silence=Silence(look, silent_at=silent)) == ["webhook_was_silent"]
    assert warned(silence=Silence(look, was_silent_at=silent, heard_at=NOW)) == ["webhook_was_silent"]
    long_ago = NOW - timedelta(days=3)
    assert warned(silence=Silence(look, was_silent_at=long_ago, heard_at=long_ago)) == []


def test_pitfall_41_an_import_that_fires_nothing_is_named_where_it_looks_like_silence():
    silent = msgspec.structs.replace(WELL, silence=Silence(Look(Sums(), 0), silent_at=NOW))
    (told,) = described(Known(ACCOUNT, silent, 5, LAST, NOW))["warnings"]
    assert "imported" in told["message"]
    assert "reconciliation" in told["message"]


def test_an_address_that_cannot_be_reached_is_warned_about_until_something_arrives():
    local = Account(
        "con", "src", "ws", ACCOUNT.url, "k", enabled=True, webhook_url="http://localhost:8080/webhooks/a/s"
    )
    assert codes(account=local, arrived=0) == ["public_url"]
    assert codes(account=local, arrived=1) == []


def test_a_connection_that_is_off_warns_of_nothing():
    off = Account("con", "src", "ws", ACCOUNT.url, "k", enabled=False, webhook_url="http://localhost:8080/webhooks/a/s")
    assert codes(msgspec.structs.replace(WELL, blind="It is refused."), off, arrived=0) == []


def test_tracking_that_is_off_names_the_campaign_and_what_is_lost():
    campaigns = (Untracked("8", "Spring", opens=True, links=True), Untracked("9", "Summer", links=True))
    health = msgspec.structs.replace(WELL, untracked=campaigns)
    found = described(Known(ACCOUNT, health, 5, LAST, NOW))["warnings"]
    assert [(each["code"], each["campaignId"]) for each in found] == [("tracking_off", "8"), ("tracking_off", "9")]
    assert found[0]["message"].startswith("Opens and links are not tracked in the campaign “Spring”")
    assert found[1]["message"].startswith("Links are not tracked in the campaign “Summer”")


def test_the_budget_is_told_in_the_apis_words():
    assert budget(Use(per_s=5, last_minute=40, total=99, throttled=1, waiting=2, paused_s=0.25)) == {
        "perSecond": 5,
        "lastMinute": 40,
        "total": 99,
        "throttled": 1,
        "waiting": 2,
        "pausedS": 0.2,
    }


def test_health_is_kept_in_its_file(tmp_path):
    look = Look(Sums(opens=3, clicks=2), 7)
    health = msgspec.structs.replace(
        WELL, silence=Silence(look, suspected_at=NOW), untracked=(Untracked("8", "Spring", opens=True),)
    )
    healths = Healths(tmp_path / "keeper.sqlite")
    healths.put("con", health)
    healths.close()
    again = Healths(tmp_path / "keeper.sqlite")
    assert again.get("con") == health
    assert again.get("other") == Health()
    again.forget("con")
    assert again.get("con") == Health()
    again.close()


def test_an_unreadable_row_is_as_if_nothing_were_known(tmp_path):
    healths = Healths(tmp_path / "keeper.sqlite")
    healths.put("con", WELL)
    healths.close()
    spoilt = sqlite.connect(tmp_path / "keeper.sqlite")
    spoilt.execute("update health set body = x'7b'")
    spoilt.close()
    again = Healths(tmp_path / "keeper.sqlite")
    assert again.get("con") == Health()
    again.close()
