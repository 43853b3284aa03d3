"""`headwater schema` and `headwater plans`, against a real server."""

import asyncio
import json

from click.testing import CliRunner

from headwater.cli import root
from headwater.observing.observer import Observer
from headwater.protocols.gate import Gates


def test_what_is_seen_becomes_a_plan_that_is_enforced_from_the_shell(running, tmp_path):
    def run(*arguments, status=0):
        shell = {"HEADWATER_URL": running.url.removesuffix("/api"), "HEADWATER_TOKEN": running.tokens["owner"]}
        done = CliRunner().invoke(root, arguments, env=shell)
        assert done.exit_code == status, done.output
        return done.output

    async def observed(*events):
        observer = Observer(running.log, tmp_path, Gates())
        await running.append(source, *events)
        while await observer.step():
            pass
        observer.close()

    source = running.control.sources.create(running.workspace.id, "website", "http-api").id
    assert "send an event first" in run("schema", "list", "website")
    order = {"type": "track", "event": "Order", "messageId": "1", "properties": {"price": 2}}
    asyncio.run(observed(order, {"type": "identify", "messageId": "2", "traits": {"plan": "pro"}}))
    assert "Order" in run("schema", "list", "website", "--type", "track")
    assert json.loads(run("schema", "properties", "website", "Order", "--json"))[0]["types"] == ["integer"]
    assert "stays in the log" in run("schema", "block", "website", "Order")
    assert "so already" in run("schema", "block", "website", "Order")
    assert "replay" in run("schema", "allow", "website", "Order")
    assert "say WHAT=HOW" in run("schema", "set", "website", "--identify", "unplanned-events=block", status=2)
    shown = json.loads(run("schema", "set", "website", "--track", "common=omit", "--json"))
    assert shown["settings"]["track"]["commonEventOnViolations"] == "OMIT_PROPERTIES"
    assert "Made the plan web-shop" in run("plans", "create", "Web shop", "--seen-at", "website")
    written = tmp_path / "plan.json"
    written.write_text(run("plans", "rules", "web-shop"))
    assert "has 2 rules" in run("plans", "rules", "web-shop", "--from", str(written))
    assert "is held against" in run("plans", "connect", "web-shop", "website")
    assert "website" in run("plans", "show", "web-shop")
    assert "Nothing violates" in run("plans", "violations", "web-shop")
    assert "any more" in run("plans", "disconnect", "web-shop", "website")
    assert "Deleted" in run("plans", "delete", "web-shop")
    assert "Cleared" in run("schema", "clear", "website")
