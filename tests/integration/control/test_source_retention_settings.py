"""How long the events of a source stay: set through the API, on its page and from the shell."""

import re
import urllib.error

import click.testing
import pytest

from headwater.cli import sources

MIB = 1024 * 1024


@pytest.fixture
def source(running):
    return running.control.sources.create(running.workspace.id, "website", "http-api", name="Our website")


def kept(running):
    (found,) = running.control.snapshot().sources
    return found.retention_days, found.retention_bytes


def test_an_owner_sets_and_ends_bounds(running, source):
    shown = running.api("GET", f"/sources/{source.id}")["source"]
    assert (shown["retentionDays"], shown["retentionBytes"]) == (None, None)
    wanted = {"retentionDays": 30, "retentionBytes": 5 * MIB}
    changed = running.api("PATCH", f"/sources/{source.id}", wanted)["source"]
    assert {name: changed[name] for name in wanted} == wanted
    assert kept(running) == (30, 5 * MIB)
    assert running.api("PATCH", f"/sources/{source.id}", {"retentionDays": None})["source"]["retentionDays"] is None
    assert kept(running) == (None, 5 * MIB)
    assert running.api("PATCH", f"/sources/{source.id}", {"name": "Shop"})["source"]["retentionBytes"] == 5 * MIB


NO_BOUNDS = (
    {"retentionDays": 0},
    {"retentionDays": 36_501},
    {"retentionDays": 1.5},
    {"retentionDays": "30"},
    {"retentionDays": True},
    {"retentionBytes": MIB - 1},
    {"retentionBytes": 2**60},
)


def test_what_is_no_bound_is_refused_by_name(running, source):
    for body in NO_BOUNDS:
        status, _, problem = running.refused("PATCH", f"/sources/{source.id}", body)
        assert (status in {400, 422}, next(iter(body)) in str(problem)) == (True, True), (body, status, problem)
    assert kept(running) == (None, None)


def test_who_may_delete_nothing_may_not_shorten_what_is_kept(running, source):
    path, body = f"/sources/{source.id}", {"retentionDays": 1}
    assert running.refused("PATCH", path, body, token="source-admin")[:2] == (403, "forbidden")
    assert running.api("PATCH", path, {"name": "Shop"}, token="source-admin")["source"]["name"] == "Shop"
    assert kept(running) == (None, None)


@pytest.mark.usefixtures("source")
def test_the_page_shows_what_is_kept_and_changes_it(running, page):
    shown = page("/sources/website/settings")
    csrf = re.search(r'name="csrf" value="([^"]+)"', shown).group(1)
    saved = page("/sources/website/retention", csrf=csrf, retentionDays="30", retentionBytes="7")
    assert kept(running) == (30, 7 * MIB)
    assert re.search(r'name="retentionDays"[^>]* value="30"', saved)
    assert re.search(r'name="retentionBytes"[^>]* value="7"', saved)
    for text in ("soon", "0"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            page("/sources/website/retention", csrf=csrf, retentionDays=text, retentionBytes="")
        problem = refused.value.read().decode()
        assert re.search(rf'value="{text}"[^>]*aria-invalid="true"', problem)
    assert kept(running) == (30, 7 * MIB)
    page("/sources/website/retention", csrf=csrf, retentionDays="", retentionBytes=" ")
    assert kept(running) == (None, None)


@pytest.mark.usefixtures("source")
def test_the_shell_sets_and_ends_bounds(running):
    environment = {"HEADWATER_URL": running.url.removesuffix("/api"), "HEADWATER_TOKEN": running.tokens["owner"]}

    def run(*arguments):
        return click.testing.CliRunner(env=environment).invoke(sources.command, arguments)

    done = run("update", "website", "--retention-days", "30", "--retention-mib", "7")
    assert (done.exit_code, kept(running)) == (0, (30, 7 * MIB)), done.output
    assert "30 days and 7 MiB" in done.output
    assert "30 days and 7 MiB" in run("show", "website").output
    assert run("update", "website", "--retention-days", "default").exit_code == 0
    assert kept(running) == (None, 7 * MIB)
    assert "no whole number" in run("update", "website", "--retention-mib", "many").output
