"""Regulations, suppressions and people as the Public API takes and shows them."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from headwater.privacy.regulation import Status
from headwater.privacy.subjects import Kind, subject

SUPPRESS, DELETE = "SUPPRESS_ONLY", "DELETE_ONLY"


def asked(kind=SUPPRESS, *ids, about="USER_ID", **more):
    return {"regulationType": kind, "subjectType": about, "subjectIds": list(ids or ("u1",)), **more}


def made(running, *args, path="/regulations", **more):
    return running.api("POST", path, asked(*args, **more))["regulateId"]


def suppressed(running, kind, value):
    query = f"?subjectType={kind}&subjectId={value}"
    return bool(running.api("GET", f"/suppressions{query}")["suppressed"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (asked(SUPPRESS) | {"subjectIds": []}, "subjectIds"),
        (asked(SUPPRESS) | {"subjectIds": [f"u{number}" for number in range(5_001)]}, "subjectIds"),
        (asked(SUPPRESS, " "), "subjectIds"),
        (asked(SUPPRESS, "x" * 1_001), "subjectIds"),
        (asked(SUPPRESS, "ann", about="EMAIL"), "subjectIds"),
        (asked("FORGET"), "regulationType"),
        (asked(SUPPRESS, about="NAME"), "subjectType"),
    ],
)
def test_a19_what_is_no_request_about_people_is_refused(shared, body, field):
    assert shared.refused("POST", "/regulations", body) == (422, "invalid_field", field)


@pytest.mark.parametrize("user", ["*", "%", "u_1", "o'ann\"; drop table", "Ü\u2028", "a" * 1_000])
def test_a19_ids_are_literal(shared, user):
    made(shared, SUPPRESS, user)
    table = shared.control.suppressions
    workspace = shared.workspace.id
    assert table.has(workspace, subject(Kind.USER, user))
    assert not table.has(workspace, subject(Kind.USER, user.upper() + "x"))
    assert not table.has(workspace, subject(Kind.ANONYMOUS, user))


def test_a19_only_an_address_has_no_case(shared):
    made(shared, SUPPRESS, " Ann@Example.ORG ", about="EMAIL")
    assert suppressed(shared, "EMAIL", "ann@example.org")
    made(shared, SUPPRESS, "Bob")
    assert not suppressed(shared, "USER_ID", "bob")


def test_a_regulation_is_kept_listed_and_told_to_the_pipeline(running):
    regulation = made(running, DELETE, "u1", "u2", "u1")
    assert ("begin_regulations", {}) in running.pipeline.asked
    (entry,) = running.api("GET", "/regulations")["regulations"]
    assert (entry["id"], entry["status"], entry["regulationType"]) == (regulation, "INITIALIZED", DELETE)
    assert entry["subjectCount"] == 2
    assert "u1" not in json.dumps(entry)
    found = running.api("GET", f"/regulations/{regulation}")["regulation"]
    assert found["overallStatus"] == "INITIALIZED"
    assert running.refused("GET", "/regulations/nothing")[:2] == (404, "not_found")


def test_5000_long_ids_are_one_request_and_few_such_are_taken_at_once(running):
    ids = [f"{number:04}{'x' * 790}" for number in range(5_000)]
    for _ in range(4):
        made(running, SUPPRESS, *ids)
    tasks = running.control.regulations.due(datetime.now(UTC))
    assert [len(task.subjects) for task in tasks] == [5_000] * 3


def test_only_owners_ask_for_it(shared):
    for path in ("/regulations", "/people/preview", "/people/export"):
        assert shared.refused("POST", path, asked(), token="member")[0] == 403
    assert shared.refused("GET", "/suppressions", token="read-only")[0] == 403


def test_unsuppress_ends_what_was_linked_too(running):
    regulation = made(running, SUPPRESS, "u1")
    (task,) = running.control.regulations.due(datetime.now(UTC))
    (named,) = task.subjects
    email = subject(Kind.EMAIL, "ann@x.org")
    running.control.regulations.resolved(task.regulation, {named: named, email: named}, {})
    assert suppressed(running, "EMAIL", "ann@x.org")
    assert running.control.regulations.note(regulation, Status.FINISHED, {})
    undone = made(running, "UNSUPPRESS", "u1")
    assert not suppressed(running, "EMAIL", "ann@x.org")
    assert not suppressed(running, "USER_ID", "u1")
    assert running.api("GET", f"/regulations/{undone}")["regulation"]["overallStatus"] == "FINISHED"


def test_every_process_learns_of_additions_and_of_ends(running):
    list_, workspace = running.control.suppressions, running.workspace.id
    first = list_.news(-1)
    assert first.is_anew
    assert list_.news(first.upto) is None
    made(running, SUPPRESS, "u1")
    added = list_.news(first.upto)
    assert (added.is_anew, added.entries) == (False, [(workspace, list_.hasher.digest(subject(Kind.USER, "u1")))])
    made(running, SUPPRESS, "u2")
    made(running, "UNSUPPRESS", "u1")
    ended = list_.news(added.upto)
    assert (ended.is_anew, ended.entries) == (True, [(workspace, list_.hasher.digest(subject(Kind.USER, "u2")))])


def test_s47_many_people_can_be_taken_back_for_ten_minutes(running):
    many = [f"u{number}" for number in range(101)]
    regulation = made(running, "SUPPRESS_WITH_DELETE", *many)
    assert suppressed(running, "USER_ID", "u7")
    now = datetime.now(UTC)
    assert running.control.regulations.due(now) == []
    assert len(running.control.regulations.due(now + timedelta(minutes=11))) == 1
    assert running.api("DELETE", f"/regulations/{regulation}") == {"status": "SUCCESS"}
    assert not suppressed(running, "USER_ID", "u7")
    begun = made(running, DELETE, "u1")
    running.control.regulations.note(begun, Status.RUNNING, {})
    assert running.refused("DELETE", f"/regulations/{begun}")[:2] == (409, "conflict")


def test_what_is_over_names_nobody_and_knows_the_hashes(running):
    regulation = made(running, DELETE, "somebody@example.org", about="EMAIL")
    running.control.regulations.note(regulation, Status.FINISHED, {"stores": []})
    assert running.control.regulations.due(datetime.now(UTC)) == []
    hasher = running.control.suppressions.hasher
    assert running.control.regulations.deleted(running.workspace.id) == {
        hasher.digest(subject(Kind.EMAIL, "somebody@example.org"))
    }


def test_one_source_and_object_ids(running):
    source = running.control.sources.create(running.workspace.id, "site", "http-api")
    regulation = made(running, SUPPRESS, "u1", path=f"/regulations/sources/{source.id}")
    (entry,) = running.api("GET", f"/regulations/sources/{source.slug}")["regulations"]
    assert (entry["id"], entry["sourceId"]) == (regulation, source.id)
    assert running.control.suppressions.has(running.workspace.id, subject(Kind.USER, "u1"), source.id)
    assert not running.control.suppressions.has(running.workspace.id, subject(Kind.USER, "u1"))
    cloud = made(running, DELETE, "1", about="OBJECT_ID", collection="c", path=f"/regulations/cloudsources/{source.id}")
    assert running.api("GET", f"/regulations/{cloud}")["regulation"]["overallStatus"] == "NOT_SUPPORTED"
    assert running.refused("POST", "/regulations/sources/nothing", asked())[:2] == (404, "not_found")


def test_a_preview_asks_the_pipeline(running):
    found = running.api("POST", "/people/preview", {"subjectType": "EMAIL", "subjectIds": ["Ann@X.org"]})
    assert found["linked"] == [{"subjectType": "EMAIL", "subjectId": "ann@x.org", "isNamed": True}]
    assert (found["stores"], found["suppressed"]) == ([{"name": "log.events", "count": 3}], False)


def test_a_person_is_exported_with_what_is_linked_and_nobody_else(running):
    source = running.control.sources.create(running.workspace.id, "site", "http-api")
    events = [
        {"messageId": "m1", "type": "identify", "userId": "ann", "anonymousId": "a1", "traits": {"email": "ann@x.org"}},
        {"messageId": "m2", "type": "track", "event": "=cmd()", "anonymousId": "a1"},
        {"messageId": "m3", "type": "track", "event": "E", "userId": "bob", "properties": {"about": "joann@x.org"}},
    ]
    asyncio.run(running.append(source.id, *events))
    body = {"subjectType": "EMAIL", "subjectIds": ["ann@x.org"]}
    status, raw, _ = running.raw("POST", "/people/export", body)
    assert status == 200
    assert [json.loads(line)["event"]["messageId"] for line in raw.splitlines()] == ["m1", "m2"]
    _, table, _ = running.raw("POST", "/people/export", body | {"format": "csv"})
    assert b"'=cmd()" in table
    assert running.refused("POST", "/people/export", body | {"format": "xml"}) == (422, "invalid_field", "format")


def test_g3_who_was_deleted_is_found_again_in_a_restored_log(running):
    source = running.control.sources.create(running.workspace.id, "site", "http-api")
    regulation = made(running, DELETE, "ann@x.org", about="EMAIL")
    assert running.api("POST", "/regulations/reapply") == {"regulateIds": [], "subjectCount": 0}
    running.control.regulations.note(regulation, Status.FINISHED, {})
    events = [
        {"messageId": "m1", "type": "identify", "userId": "ann", "traits": {"email": "Ann@X.org"}},
        {"messageId": "m2", "type": "track", "event": "E", "userId": "bob"},
    ]
    asyncio.run(running.append(source.id, *events))
    found = running.api("POST", "/regulations/reapply")
    assert found["subjectCount"] == 1
    (task,) = running.control.regulations.due(datetime.now(UTC))
    assert (task.regulation.id, task.subjects) == (found["regulateIds"][0], {subject(Kind.EMAIL, "ann@x.org")})


def test_names_are_sealed_while_they_wait(running):
    made(running, DELETE, "ann")
    former = running.control._box
    (task,) = running.control.regulations.due(datetime.now(UTC))
    assert former.open(task.regulation.id, "subjects", sealed_of(running)) == '[["user","ann"]]'
    assert "ann" not in sealed_of(running)


def sealed_of(running):
    with running.control._engine.connect() as connection:
        return connection.exec_driver_sql("select subjects from regulation_work").scalar_one()
