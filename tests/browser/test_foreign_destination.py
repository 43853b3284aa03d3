"""Every page and button of a destination, asked for another workspace's: nothing is there, nothing is done or told."""

import dataclasses
from types import SimpleNamespace

import pytest
from starlette.routing import Route
from test_access import ask, sign_in
from website import replay_run

from headwater.control.database import changing, workspaces
from headwater.web import app as pages

ROW = {"id": "w2", "slug": "other", "name": "Other", "region": "us", "created_at": "2026-01-01T00:00:00Z"}
LETTER = {
    "id": "1",
    "destinationId": "",
    "event": "Their Secret",
    "reason": "HTTP 400",
    "diedAt": "2026-01-01T00:00:00Z",
}
FORM = {
    "event": '{"type":"track","event":"A","userId":"u"}',
    "go": "1",
    "letter": "1",
    "title": "T",
    "if": "all",
    "action": "DROP",
    "name": "M",
    "trigger": "all",
    "fields": "{}",
    "url": "https://evil.example",
    "enabled": "true",
}


def routes() -> list[tuple[str, str]]:
    """Return method and path of everything under one destination."""
    parts = {"session_secret": b"s" * 32, "public_url": "http://a.example", "open_access": False}
    parts |= {"alerts": None, "seen": None}
    control = SimpleNamespace(audit=None)  # nothing is asked of it until somebody visits
    built = pages.build(control, *[None] * 5, **parts)
    found = [route for route in built if isinstance(route, Route) and "{destination}" in route.path]
    return sorted((method, route.path) for route in found for method in (route.methods or set()) - {"HEAD"})


@pytest.fixture
def theirs(website):
    with changing(website.control._engine) as connection:
        connection.execute(workspaces.insert().values(ROW))
    website.control.sources.create("w2", "website", "http-api")
    settings = {"url": "https://example.com/hook"}
    made = website.control.destinations.create("w2", "website", "webhook", name="Their Secret", settings=settings)
    website.line.letters = [{**LETTER, "destinationId": made.id}]
    website.line.replay_runs = [replay_run(made.id)]
    return made


def test_there_are_routes_to_ask():
    assert len(routes()) > 15


def test_nothing_of_another_workspaces_destination_is_there(website, theirs):
    before = dataclasses.replace(website.control.destinations.get("w2", theirs.id))
    rule = website.control.filters.create("w2", theirs.id, title="Theirs", condition="all", actions=[{"type": "DROP"}])
    cookie, csrf = sign_in(website)
    for method, route in routes():
        path = route.format(workspace="default", destination=theirs.id, letter="1", replay="7", rule=rule.id)
        form = {**FORM, "csrf": csrf} if method == "POST" else None
        status, _, text = ask(website, path, form=form, cookie=cookie, origin=website.url)
        assert status == 404, (method, path)
        assert "Their" not in text, (method, path)
    assert website.control.destinations.get("w2", theirs.id) == before
    assert website.control.filters.all("w2", theirs.id) == [rule]
    assert website.line.letters
    assert [website.line.retried, website.line.replayed, website.line.tried] == [[]] * 3
    assert website.line.replay_runs[0]["state"] == "running"


def test_what_belongs_to_another_destination_is_not_reached_by_ones_own(website, theirs):
    mine = website.destination(website.source())
    rule = website.control.filters.create("w2", theirs.id, title="Theirs", condition="all", actions=[{"type": "DROP"}])
    cookie, csrf = sign_in(website)
    here = f"/default/destinations/{mine.id}"
    for path in (f"{here}/filters/{rule.id}/delete", f"{here}/filters/{rule.id}/enable", f"{here}/retry"):
        assert ask(website, path, form={**FORM, "csrf": csrf}, cookie=cookie, origin=website.url)[0] == 404, path
    assert ask(website, f"{here}/dead-letters/1", cookie=cookie)[0] == 404
    assert website.control.filters.all("w2", theirs.id) == [rule]
    assert website.line.retried == []
