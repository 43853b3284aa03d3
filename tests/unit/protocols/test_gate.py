"""What goes through the gate of a source, what is taken out, and what is blocked and why."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import InvalidRequestError
from headwater.protocols import schemas
from headwater.protocols.gate import Gate
from headwater.protocols.lines import BLOCKED, gated
from headwater.protocols.rules import Code, Controls, Enforced, Kind, Name, OnCommon, Plan, Rule, Spec
from headwater.spec.event import Frame

SUBSCRIPTION = {
    "type": "object",
    "properties": {
        "properties": {
            "type": "object",
            "properties": {
                "subscription_id": {"type": "string"},
                "amount": {"type": "number"},
                "items": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
                "free": {"type": "object"},
            },
            "required": ["subscription_id"],
        }
    },
}
COMMON = {"properties": {"properties": {"properties": {"tenant": {"type": "string"}}, "required": ["tenant"]}}}


def rule(kind=Kind.TRACK, key="Subscription Cancelled", schema=None, version=1):
    return Rule(kind, key, version, json.dumps(SUBSCRIPTION if schema is None else schema))


def gate(*rules, track=None, identify=None, blocked=(), known=()):
    controls = Controls(track=track or Enforced(), identify=identify or Enforced())
    plan = Plan("tp_1", "Plan", rules) if rules else None
    return Gate(Spec("s1", controls, frozenset(blocked), frozenset(known), plan))


def track(name="Subscription Cancelled", context=None, **properties):
    return {"type": "track", "event": name, "properties": properties, **({"context": context} if context else {})}


def test_t120_a_name_matches_exactly_or_is_unplanned():
    held = gate(rule(), track=Enforced(unplanned_events=False))
    assert held(track("subscription_cancelled")).code is Code.UNPLANNED
    assert held(track(subscription_id="1")).code is None


def test_t121_an_unplanned_property_is_omitted_and_named():
    held = gate(rule(), track=Enforced(unplanned_fields=False))
    event = track(subscription_id="1", subscription_name="premium", items=[{"sku": "a", "x": 1}], free={"any": 1})
    verdict = held(event)
    assert verdict.body["properties"] == {"subscription_id": "1", "items": [{"sku": "a"}], "free": {"any": 1}}
    assert verdict.body["context"]["protocols"] == {
        "sourceId": "s1",
        "omitted": ["subscription_name", "items.x"],
        "violations": [],
    }
    assert event["properties"]["subscription_name"] == "premium"  # what is stored stays


@pytest.mark.parametrize(
    ("enforced", "properties", "code", "left"),
    [
        (Enforced(), {"amount": "much"}, None, {"amount": "much"}),
        (Enforced(event_on_violations=False), {"amount": "much"}, Code.SCHEMA_VIOLATION, None),
        (Enforced(event_on_violations=False), {"subscription_id": "1"}, None, {"subscription_id": "1"}),
        (Enforced(fields_on_violations=False), {"amount": "much", "free": {}}, None, {"free": {}}),
        (
            Enforced(event_on_violations=False, unplanned_fields=False),
            {"other": 1},
            Code.UNPLANNED_AND_SCHEMA_VIOLATION,
            None,
        ),
    ],
)
def test_what_violates_its_rule_goes_on_or_not(enforced, properties, code, left):
    verdict = gate(rule(), track=enforced)(track(**properties))
    assert verdict.code is code
    assert (verdict.body and verdict.body["properties"]) == left


@pytest.mark.parametrize(
    ("common", "code", "left"),
    [
        (OnCommon.ALLOW, None, {"tenant": 1, "a": 1}),
        (OnCommon.BLOCK, Code.COMMON_SCHEMA_VIOLATION, None),
        (OnCommon.OMIT, None, {"a": 1}),
    ],
)
def test_the_common_schema_is_held_against_every_call(common, code, left):
    held = gate(rule(Kind.COMMON, "", COMMON), track=Enforced(common=common))
    verdict = held(track("Anything", tenant=1, a=1))
    assert verdict.code is code
    assert (verdict.body and verdict.body["properties"]) == left


@pytest.mark.parametrize("wrong", [{f"p{number}": "x" for number in range(80)}, {"a": ["x"] * 20_000, "b": 1}])
def test_whatever_violates_is_taken_out_however_much_it_is(wrong):
    some = {"type": "array", "items": {"type": "number"}}
    planned = {"properties": {"a": some, **{f"p{number}": {"type": "number"} for number in range(80)}}}
    held = gate(
        rule(Kind.IDENTIFY, "", {"properties": {"traits": planned}}), identify=Enforced(fields_on_violations=False)
    )
    verdict = held({"type": "identify", "traits": {"c": 1, **wrong}})
    assert not {"a", *(f"p{number}" for number in range(80))} & verdict.body["traits"].keys()
    assert ("c" in verdict.body["traits"]) is ("p0" in wrong)  # what is not told of singly goes as a whole


def test_violations_hold_names_and_no_values():
    verdict = gate(rule(schema={**SUBSCRIPTION, "required": ["userId"]}))(track(amount="jane@example.com"))
    assert {(each.type, each.field) for each in verdict.violations} == {
        ("Required", "userId"),
        ("Required", "properties.subscription_id"),
        ("Invalid Type", "properties.amount"),
    }
    assert "jane" not in str(verdict.violations)


@pytest.mark.parametrize(
    ("told", "is_new"), [(2, True), (1, False), (None, False), ("2", False), (True, False), (9, False)]
)
def test_an_event_names_its_version_and_else_is_of_the_oldest(told, is_new):
    new = {"properties": {"properties": {"required": ["new"]}}}
    held = gate(rule(schema={}, version=1), rule(schema=new, version=2))
    verdict = held(track(context={"protocols": {"event_version": told}}))
    assert bool(verdict.violations) is is_new


def test_t117_what_is_blocked_by_name_goes_nowhere_whatever_the_plan_says():
    held = gate(rule(), blocked=[Name(Kind.TRACK, "Subscription Cancelled"), Name(Kind.IDENTIFY, "", "ssn")])
    assert held(track(subscription_id="1")).code is Code.EVENT_SETTING
    verdict = held({"type": "identify", "traits": {"ssn": "1", "plan": "pro"}})
    assert verdict.body["traits"] == {"plan": "pro"}
    assert verdict.omitted == ("ssn",)


def test_without_a_plan_what_was_there_before_is_planned():
    known = [Name(Kind.TRACK, "Old"), Name(Kind.IDENTIFY, "", "plan")]
    new = {"track": Enforced(unplanned_events=False), "identify": Enforced(unplanned_fields=False)}
    held = gate(known=known, **new)
    assert held(track("Old", anything=1)).code is None
    assert held(track("New")).code is Code.UNPLANNED
    assert held({"type": "identify", "traits": {"plan": 1, "new": 2}}).body["traits"] == {"plan": 1}


def test_what_a_schema_may_name_elsewhere_is_planned():
    held = gate(rule(schema={"allOf": [SUBSCRIPTION]}), track=Enforced(unplanned_fields=False))
    assert held(track(other=1)).omitted == ()


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(.*)*$"])
def test_a_pattern_cannot_take_long(pattern):
    held = gate(rule(schema={"properties": {"event": {"pattern": pattern}}}, key="a" * 40 + "!"))
    held(track("a" * 40 + "!"))


@pytest.mark.parametrize("pattern", ["(?=a)", r"(a)\1", "a{1,100000}{1,1000}"])
def test_a_pattern_that_could_is_refused_when_it_is_saved(pattern):
    with pytest.raises(InvalidRequestError):
        schemas.checked({"pattern": pattern}, "rules.0.jsonSchema")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
events = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "identify", "page", "alias", "odd"]), "messageId": st.text(max_size=3)},
    optional={
        "event": values | st.sampled_from(["Subscription Cancelled"]),
        "properties": values | st.dictionaries(st.sampled_from(["amount", "items", "x", "a.b"]), values),
        "traits": values,
        "context": values,
    },
)
enforced = st.builds(Enforced, *[st.booleans()] * 4, st.sampled_from(OnCommon))


@given(events, enforced, enforced)
def test_the_gate_decides_alike_each_time_and_only_takes_out(event, on_track, on_identify):
    held = gate(rule(), rule(Kind.COMMON, "", COMMON), track=on_track, identify=on_identify)
    before = json.dumps(event)
    verdict = held(event)
    assert json.dumps(event) == before
    assert held(event) == verdict
    assert (verdict.body is None) is (verdict.code is not None)
    if verdict.body is not None:
        assert (verdict.body is event) is (not verdict.omitted)
        rest = {name: value for name, value in verdict.body.items() if name not in {"properties", "traits", "context"}}
        assert rest.items() <= event.items()


def test_a_blocked_line_keeps_its_place_and_other_sources_are_untouched():
    held = gate(blocked=[Name(Kind.TRACK, "No")])
    lines = b"".join(json.dumps(track(name)).encode() + b"\n" for name in ("Yes", "No", "Yes")) + b"no json\n"
    frames = [Frame("s1", 5, 4, None, 0, lines), Frame("s2", 9, 4, None, 0, lines)]
    (ours, theirs), blocked = gated(frames, {"s1": held})
    assert blocked == 1
    assert ours.lines.split(b"\n")[1] == json.dumps({"type": BLOCKED}, separators=(",", ":")).encode()
    assert ours.lines.count(b"\n") == 4
    assert ours.lines.split(b"\n")[3] == b"no json"
    assert theirs is frames[1]
