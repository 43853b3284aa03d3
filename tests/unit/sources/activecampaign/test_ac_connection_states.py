"""The state machine, its sentences, and what a connection's address says about itself."""

from datetime import UTC, datetime

import pytest

from headwater.sources.activecampaign.connection.states import (
    Facts,
    State,
    WebhookState,
    is_loopback,
    state,
    unreachable,
    webhook_state,
)

AT = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
ACCOUNT = "https://acme.api-us1.com"


@pytest.mark.parametrize(
    ("facts", "expected", "words"),
    [
        (Facts(enabled=False), State.OFF, "Off. Switch it on"),
        (Facts(enabled=False, complaint="It does not answer."), State.OFF, "could not be taken away"),
        (Facts(enabled=False, refused=True, silent=True), State.OFF, "Off."),
        (Facts(enabled=True), State.CONNECTING, "Registering the webhook"),
        (Facts(enabled=True, complaint="It does not answer."), State.CONNECTING, "It does not answer."),
        (Facts(enabled=True, webhook=WebhookState.OK), State.WAITING, "Ready, waiting for the first event."),
        (Facts(enabled=True, webhook=WebhookState.OK, heard=True), State.WAITING, "Ready, waiting"),
        (
            Facts(enabled=True, webhook=WebhookState.OK, last_event="Email Opened", last_at=AT),
            State.WAITING,  # only history so far: no webhook has arrived
            "Ready, waiting",
        ),
        (
            Facts(enabled=True, webhook=WebhookState.OK, heard=True, last_event="Email Opened", last_at=AT),
            State.SENDING,
            "Currently sending. Last event: Email Opened, 2026-03-01 12:00:05 UTC.",
        ),
        (
            Facts(enabled=True, heard=True, last_event="Email Opened", last_at=AT, complaint="No answer."),
            State.SENDING,  # the API being away for a while does not stop webhooks
            "Currently sending.",
        ),
        (Facts(enabled=True, webhook=WebhookState.OK, refused=True), State.ATTENTION, "refuses the API key"),
        (Facts(enabled=True, webhook=WebhookState.MISSING, complaint="Too many."), State.ATTENTION, "Too many."),
        (Facts(enabled=True, webhook=WebhookState.CHANGED, complaint="List."), State.ATTENTION, "List."),
        (Facts(enabled=True, webhook=WebhookState.OK, unreachable="Set it."), State.ATTENTION, "Set it."),
        (
            Facts(enabled=True, webhook=WebhookState.OK, unreachable="Set it.", heard=True),
            State.WAITING,  # what arrives can be reached
            "Ready, waiting",
        ),
        (Facts(enabled=True, webhook=WebhookState.OK, silent=True, heard=True), State.ATTENTION, "port 443"),
    ],
)
def test_the_state_follows_from_what_is_known(facts, expected, words):
    found, message = state(facts)
    assert found is expected
    assert words in message


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(enabled=False, webhook=WebhookState.OK), WebhookState.OFF),
        (Facts(enabled=True), WebhookState.UNKNOWN),
        (Facts(enabled=True, webhook=WebhookState.MISSING, silent=True), WebhookState.MISSING),
        (Facts(enabled=True, webhook=WebhookState.OK, silent=True), WebhookState.SILENT),
        (Facts(enabled=True, webhook=WebhookState.OK, unreachable="x"), WebhookState.UNREACHABLE),
        (Facts(enabled=True, webhook=WebhookState.OK, unreachable="x", heard=True), WebhookState.OK),
    ],
)
def test_a_webhook_that_leads_nowhere_is_not_called_well(facts, expected):
    assert webhook_state(facts) is expected


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://events.example.com/webhooks/activecampaign/s", ""),
        ("https://events.example.com:443/webhooks/activecampaign/s", ""),
        ("https://93.184.216.34/webhooks/activecampaign/s", ""),
        ("http://events.example.com/webhooks/activecampaign/s", "not HTTPS"),
        ("https://events.example.com:8443/webhooks/activecampaign/s", "port 8443"),
        ("http://127.0.0.1:8080/webhooks/activecampaign/s", "only here"),
        ("https://localhost/webhooks/activecampaign/s", "only here"),
        ("https://10.1.2.3/webhooks/activecampaign/s", "only here"),
        ("https://[::1]/webhooks/activecampaign/s", "only here"),
        ("https://headwater/webhooks/activecampaign/s", "only here"),
        ("https://headwater.internal/webhooks/activecampaign/s", "only here"),
        ("https://events.example.com:99999/webhooks/activecampaign/s", "cannot reach"),
        ("", "not set"),
    ],
)
def test_an_address_that_activecampaign_cannot_reach_is_told_with_the_settings_name(url, words):
    problem = unreachable(url, ACCOUNT)
    assert words in problem
    assert bool(problem) is bool(words)
    assert not problem or "HEADWATER_PUBLIC_URL" in problem
    assert "/webhooks/activecampaign/s" not in problem


@pytest.mark.parametrize(
    "account", ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000", "http://a.localhost"]
)
def test_a_simulated_account_on_this_machine_reaches_everything(account):
    assert is_loopback(account)
    assert unreachable("http://127.0.0.1:8080/webhooks/activecampaign/s", account) == ""
