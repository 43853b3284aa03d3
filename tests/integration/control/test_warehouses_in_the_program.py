"""A warehouse's whole life in the real program, from the shell: left out, taken in, loaded again, counted, erased."""

import json
import time

from program import Program

WAIT_S = 30.0


def told(program, *arguments):
    return json.loads(program.cli("warehouses", *arguments, "--json"))


def accept(program, source, *events):
    batch = [{"type": "track", "userId": "ann", **event} for event in events]
    status, answer = program.http("POST", "/v1/batch", {"writeKey": source["writeKeys"][0], "batch": batch})
    assert (status, json.loads(answer)["success"]) == (200, True)
    program.cli("sync", "--wait")


def signed_up(number, user="ann", **properties):
    return {
        "messageId": f"s{number}",
        "userId": user,
        "event": "Signed Up",
        "properties": {"plan": "free", **properties},
    }


def until(look, expected):
    deadline = time.monotonic() + WAIT_S
    while (found := look()) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def in_use(program):
    """Return once loading goes by what was stored before: a reload is told that first, and this one finds nothing."""
    run = told(program, "reload", "embedded", "--from", "2099-01-01", "--wait")
    assert (run["state"], run["rows"]) == ("done", 0)


def over(program):
    """Return (reason, state) of each reload, newest first."""
    return [(each["reason"], each["state"]) for each in told(program, "reloads", "embedded")]


def test_what_is_loaded_is_chosen_repaired_counted_and_removed(tmp_path):
    with Program(tmp_path / "data") as program:
        source = program.source("shop")
        assert told(program, "test", "embedded")["status"] == "CONNECTED"
        nowhere = ("test", "--type", "embedded", "--set", "directory=/proc/nowhere", "--json")
        assert json.loads(program.cli("warehouses", *nowhere, check=False))["status"] == "FAILED"
        shop = ("embedded", "--source", "shop")
        told(program, "exclude", *shop, "--collection", "Signed Up", "--property", "email")
        told(program, "exclude", *shop, "--collection", "Page Closed")
        in_use(program)
        closed = {"messageId": "c1", "event": "Page Closed"}
        accept(program, source, signed_up(1, email="ann@example.com"), signed_up(2, "bob", email="bob@x.org"), closed)
        columns = program.query("select * from shop.signed_up order by id")
        assert [(each["id"], each["plan"], each.get("email")) for each in columns] == [
            ("s1", "free", None),
            ("s2", "free", None),
        ]
        assert [each["collection"] for each in told(program, "selection", "embedded", "--left-out")] == [
            "page_closed",
            "signed_up",
        ]
        assert program.query("select count(*) as n from shop.tracks") == [{"n": 3}]

        told(program, "include", *shop, "--collection", "Signed Up", "--property", "email")
        told(program, "include", *shop, "--collection", "Page Closed")
        in_use(program)
        accept(program, source, {"messageId": "o1", "event": "Other"})
        until(lambda: {each for each in over(program) if each[0] != "asked"}, {("selected", "done")})
        assert program.query("select id, email from shop.signed_up order by id") == [
            {"id": "s1", "email": "ann@example.com"},
            {"id": "s2", "email": "bob@x.org"},
        ]
        assert program.query("select id from shop.page_closed") == [{"id": "c1"}]

        run = told(program, "reload", "embedded", "--collection", "Signed Up", "--wait")
        assert (run["reason"], run["state"], run["rows"]) == ("asked", "done", 2)
        assert sorted(program.ids("shop.signed_up")) == ["s1", "s2"]

        accept(program, source, signed_up(3, age=5))
        accept(program, source, signed_up(4, age="many"))
        assert [(each["column"], each["widened"]) for each in told(program, "misfits", "embedded")] == [("age", True)]
        ages = "select age from shop.signed_up where age is not null order by id"
        assert program.query(ages) == [{"age": "5"}, {"age": "many"}]
        (today,) = [each for each in told(program, "trends", "embedded", "--days", "1") if each["rows"]]
        assert today["byTable"]["shop.tracks"] >= 5

        (erased,) = told(program, "erase", "embedded", "--user", "ann", "--email", "bob@x.org", "--yes")
        assert (erased["error"], erased["rows"]["shop.signed_up"]) == ("", 4)
        assert program.query("select count(*) as n from shop.signed_up") == [{"n": 0}]
        assert told(program, "status", "embedded")[0]["state"] == "ready"
        reports = told(program, "syncs", "embedded", "--source", "shop")
        assert {each["status"] for each in reports} <= {"SUCCESS", "PARTIAL"}
        assert sum(each["count"] for each in reports) > 0
