"""A warehouse's whole life in the real program: left out, taken in, loaded again, counted, erased."""

import json
import time

from program import Program

WAIT_S = 30.0
ONE = "/warehouses/embedded"
NEVER = "2099-01-01T00:00:00Z"


def accept(program, source, *events):
    batch = [{"type": "track", "userId": "ann", **event} for event in events]
    status, answer = program.http("POST", "/v1/batch", {"writeKey": source["writeKeys"][0], "batch": batch})
    assert (status, json.loads(answer)["success"]) == (200, True)
    program.api("POST", "/sync", {"wait": True})


def signed_up(number, user="ann", **properties):
    return {
        "messageId": f"s{number}",
        "userId": user,
        "event": "Signed Up",
        "properties": {"plan": "free", **properties},
    }


def asked(program, sql):
    """Return the rows of a query."""
    return program.api("POST", "/query", {"sql": sql})["rows"]


def choose(program, source, *overrides):
    """Choose what is loaded, as (collection, property, whether), and return once loading goes by it."""
    names = ("collection", "property", "enabled")
    wanted = [{"sourceId": source["id"], **dict(zip(names, each, strict=True))} for each in overrides]
    program.api("PATCH", f"{ONE}/selective-sync", {"syncOverrides": wanted})
    again(program, **{"from": NEVER})  # a reload first takes over what is stored, and this one finds nothing


def again(program, **wanted):
    """Return a reload that is done."""
    run = program.api("POST", f"{ONE}/reloads", wanted)["reload"]
    until(lambda: program.api("GET", f"{ONE}/reloads/{run['id']}")["reload"]["state"], "done")
    return program.api("GET", f"{ONE}/reloads/{run['id']}")["reload"]


def until(look, expected):
    deadline = time.monotonic() + WAIT_S
    while (found := look()) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def by_themselves(program):
    """Return (reason, state) of the reloads that nobody asked for."""
    runs = program.api("GET", f"{ONE}/reloads")["reloads"]
    return {(each["reason"], each["state"]) for each in runs if each["reason"] != "asked"}


def test_what_is_loaded_is_chosen_repaired_counted_and_removed(tmp_path):
    with Program(tmp_path / "data") as program:
        source = program.source("shop")
        assert program.api("GET", f"{ONE}/connection-state")["connectionState"] == "CONNECTED"
        nowhere = ("test", "--type", "embedded", "--set", "directory=/proc/nowhere", "--json")
        assert json.loads(program.cli("warehouses", *nowhere, check=False))["status"] == "FAILED"

        choose(program, source, ("Signed Up", "email", False), ("Page Closed", "", False))
        closed = {"messageId": "c1", "event": "Page Closed"}
        accept(program, source, signed_up(1, email="ann@example.com"), signed_up(2, "bob", email="bob@x.org"), closed)
        listed = program.api("GET", f"{ONE}/connected-sources/shop/selective-syncs")["items"]
        assert {each["collection"]: each["enabled"] for each in listed} == {
            "page_closed": False,
            "signed_up": True,
            "tracks": True,
        }
        signed = next(each["properties"] for each in listed if each["collection"] == "signed_up")
        assert (signed["plan"]["enabled"], signed["email"]["enabled"]) == (True, False)
        assert b"ann@example.com" not in b"".join(
            file.read_bytes() for file in (program.data_dir / "warehouses").rglob("*.parquet")
        )
        assert asked(program, "select count(*) from shop.tracks") == [[3]]

        choose(program, source, ("Signed Up", "email", True), ("Page Closed", "", True))
        accept(program, source, {"messageId": "o1", "event": "Other"})
        until(lambda: by_themselves(program), {("selected", "done")})
        emails = [["s1", "ann@example.com"], ["s2", "bob@x.org"]]
        assert asked(program, "select id, email from shop.signed_up order by id") == emails
        assert asked(program, "select id from shop.page_closed") == [["c1"]]

        run = json.loads(
            program.cli("warehouses", "reload", "embedded", "--collection", "Signed Up", "--wait", "--json")
        )
        assert (run["reason"], run["state"], run["rows"]) == ("asked", "done", 2)
        assert sorted(program.ids("shop.signed_up")) == ["s1", "s2"]

        accept(program, source, signed_up(3, age=5))
        accept(program, source, signed_up(4, age="many"))
        misfits = program.api("GET", f"{ONE}/misfits")["misfits"]
        assert [(each["column"], each["widened"]) for each in misfits] == [("age", True)]
        ages = "select age from shop.signed_up where age is not null order by id"
        assert asked(program, ages) == [["5"], ["many"]]
        (today,) = [each for each in program.api("GET", f"{ONE}/row-trends?days=1")["days"] if each["rows"]]
        assert today["byTable"]["shop.tracks"] >= 5
        reports = program.api("GET", f"{ONE}/connected-sources/shop/syncs")["reports"]
        assert {each["sourceId"] for each in reports} == {source["id"]}
        assert {each["status"] for each in reports} <= {"SUCCESS", "PARTIAL"}

        erased = program.api("POST", f"{ONE}/erasures", {"userIds": ["ann"], "emails": ["bob@x.org"]})
        assert (erased["error"], erased["rows"]["shop.signed_up"]) == ("", 4)
        assert asked(program, "select count(*) from shop.signed_up") == [[0]]
        (standing,) = json.loads(program.cli("warehouses", "status", "embedded", "--json"))
        assert (standing["state"], standing["failures"]) == ("ready", 0)
