"""Field mappings: what is set in an event, what is refused at save, and what one mapping may cost."""

import copy

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import InvalidRequestError
from headwater.mapping import MappingError, MissingFieldError, compile_fields
from headwater.mapping.directives import DIRECTIVES

EVENT = {
    "type": "track",
    "messageId": "m1",
    "event": "Order Completed",
    "userId": "u1",
    "timestamp": "2026-05-04T12:00:00.500Z",
    "properties": {
        "total": "12.50",
        "count": 3,
        "whole": 4.0,
        "none": None,
        "blank": "",
        "unit price": {"net": 1},
        "json": '{"a": [1]}',
        "text": "a-b-A",
        "products": [{"sku": "A", "price": 1}, {"sku": "B"}],
        "at": 1777896000,
        "at_ms": 1777896000500,
    },
    "context": {"traits": {"email": "  Ada@Example.COM "}, "page": {"url": "/"}},
}


def path(text):
    return {"@path": text}


def value_of(directive, event=EVENT):
    """Return what a value becomes; "absent" when nothing is set."""
    return compile_fields({"properties.out": directive})(event)["properties"].get("out", "absent")


@pytest.mark.parametrize(
    ("directive", "expected"),
    [
        ("raw", "raw"),
        (None, None),
        ({"a": [1, path("$.userId"), path("$.nothing")], "b": path("$.nothing")}, {"a": [1, "u1"]}),
        (path("$.properties.products[0].sku"), "A"),
        (path("$.properties.products[-1]['sku']"), "B"),
        (path("$.properties.products[*].price"), [1]),
        (path("$.properties['unit price'].net"), 1),
        (path("$.properties.products[7].sku"), "absent"),
        (path("$.userId.deeper"), "absent"),
        (path("$.properties.none"), None),
        ({"@template": "{{userId}}: {{ properties.total }} {{{properties.none}}}{{$.properties.whole}}"},
         "u1: 12.50 4"),
        ({"@template": "{{properties.products}}"}, '[{"sku":"A","price":1},{"sku":"B"}]'),
        ({"@template": "no place"}, "no place"),
        ({"@if": {"exists": path("$.userId"), "then": "known", "else": "new"}}, "known"),
        ({"@if": {"exists": path("$.properties.none"), "then": "known", "else": "new"}}, "new"),
        ({"@if": {"exists": path("$.properties.blank"), "then": 1}}, 1),
        ({"@if": {"blank": path("$.properties.blank"), "then": "empty"}}, "empty"),
        ({"@if": {"blank": path("$.nothing"), "then": "empty"}}, "empty"),
        ({"@if": {"blank": path("$.userId"), "then": "empty"}}, "absent"),
        ({"@case": {"operator": "upper", "value": path("$.event")}}, "ORDER COMPLETED"),
        ({"@case": {"operator": "snake", "value": path("$.event")}}, "order_completed"),
        ({"@case": {"operator": "kebab", "value": path("$.event")}}, "order-completed"),
        ({"@case": {"operator": "title", "value": "order_completed"}}, "Order Completed"),
        ({"@case": {"operator": "lower", "value": path("$.properties.count")}}, 3),
        ({"@replace": {"pattern": "-", "value": path("$.properties.text")}}, "abA"),
        ({"@replace": {"pattern": "a", "replacement": "\\1", "value": path("$.properties.text"), "ignorecase": True}},
         "\\1-b-\\1"),
        ({"@replace": {"pattern": "-", "replacement": "+", "global": False, "value": path("$.properties.text")}},
         "a+b-A"),
        ({"@replace": {"pattern": "a-", "replacement": "", "pattern2": "b", "replacement2": "c", "value": "a-b"}}, "c"),
        ({"@arrayPath": ["$.properties.products", {"id": path("$.sku")}]}, [{"id": "A"}, {"id": "B"}]),
        ({"@arrayPath": "$.properties.products"}, EVENT["properties"]["products"]),
        ({"@arrayPath": ["$.properties['unit price']", path("$.net")]}, [1]),
        ({"@arrayPath": ["$.nothing", {"id": 1}]}, "absent"),
        ({"@json": {"mode": "encode", "value": path("$.properties.products[0]")}}, '{"sku":"A","price":1}'),
        ({"@json": {"mode": "decode", "value": path("$.properties.json")}}, {"a": [1]}),
        ({"@json": {"mode": "decode", "value": path("$.properties.text")}}, None),
        ({"@flatten": {"value": {"a": {"b": [1, {"c": 2}]}, "d": 3}}}, {"a.b.0": 1, "a.b.1.c": 2, "d": 3}),
        ({"@flatten": {"value": {"a": {"b": [1]}}, "separator": "_", "omitArrays": True}}, {"a_b": [1]}),
        ({"@merge": {"objects": [{"a": 1, "b": 1}, path("$.nothing"), {"b": 2}]}}, {"a": 1, "b": 2}),
        ({"@merge": {"objects": [{"a": 1, "b": 1}, {"b": 2}], "direction": "left"}}, {"a": 1, "b": 1}),
        ({"@transform": {"apply": {"x": path("$.userId")}, "mapping": {"@template": "<{{x}}>"}}}, "<u1>"),
        ({"@literal": {"@path": "$.userId"}}, {"@path": "$.userId"}),
        ({"@excludeWhenNull": path("$.properties.none")}, "absent"),
        ({"a": {"@excludeWhenNull": path("$.properties.none")}, "b": path("$.properties.none")}, {"b": None}),
        ({"@required": path("$.userId")}, "u1"),
        ({"@number": path("$.properties.total")}, 12.5),
        ({"@number": path("$.event")}, None),
        ({"@number": True}, 1),
        ({"@number": path("$.nothing")}, "absent"),
        ({"@string": path("$.properties.whole")}, "4"),
        ({"@string": path("$.properties['unit price']")}, '{"net":1}'),
        ({"@bool": "Yes"}, True),
        ({"@bool": 0}, False),
        ({"@bool": "perhaps"}, None),
        ({"@date": {"value": path("$.timestamp")}}, "2026-05-04T12:00:00.500Z"),
        ({"@date": {"value": "2026-05-04T14:00:00+02:00", "format": "epoch"}}, 1777896000),
        ({"@date": {"value": path("$.properties.at"), "format": "epochMs"}}, 1777896000000),
        ({"@date": {"value": path("$.properties.at_ms"), "format": "date"}}, "2026-05-04"),
        ({"@date": {"value": "soon", "format": "epoch"}}, None),
        ({"@hash": "test@example.com"}, "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"),
        ({"@hash": " Test@Example.COM"}, "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"),
        ({"@hash": "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"},
         "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"),
    ],
)  # fmt: skip
def test_a_directive_gives_its_value_and_leaves_the_event_alone(directive, expected):
    before = copy.deepcopy(EVENT)
    assert value_of(directive) == expected
    assert before == EVENT


def test_fields_are_set_wherever_they_may_be():
    fields = {
        "userId": path("$.context.traits.email"),
        "event": "Bought",
        "properties.order.id": path("$.messageId"),
        "properties.count": {"@remove": True},
        "context": {"only": path("$.context.page.url")},
        "traits.a\\.b": 1,
        "integrations.Slack": {"channel": "a"},
    }
    mapped = compile_fields(fields)(EVENT)
    properties = {name: value for name, value in EVENT["properties"].items() if name != "count"}
    assert mapped == {
        **EVENT,
        "userId": "  Ada@Example.COM ",
        "event": "Bought",
        "properties": {**properties, "order": {"id": "m1"}},
        "context": {"only": "/"},
        "traits": {"a.b": 1},
        "integrations": {"Slack": {"channel": "a"}},
    }


def test_every_value_is_read_from_the_event_as_it_was():
    swapped = compile_fields({"userId": path("$.event"), "event": path("$.userId")})(EVENT)
    assert (swapped["userId"], swapped["event"]) == ("Order Completed", "u1")


def test_what_is_not_there_leaves_its_path_as_it_is():
    assert compile_fields({"event": path("$.nothing"), "properties.x": path("$.nothing")})(EVENT) == EVENT


@pytest.mark.parametrize("missing", ["$.nothing", "$.properties.none", "$.properties.blank"])
def test_what_is_required_and_missing_leaves_the_event_out(missing):
    with pytest.raises(MissingFieldError):
        compile_fields({"properties.x": {"a": [{"@required": path(missing)}]}})(EVENT)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"messageId": 1}, "fields.messageId"),
        ({"type": "page"}, "fields.type"),
        ({"receivedAt": 1}, "fields.receivedAt"),
        ({"userId.x": 1}, "fields.userId.x"),
        ({"odd": 1}, "fields.odd"),
        ({"": 1}, "fields."),
        ({"properties..a": 1}, "fields.properties..a"),
        ({"properties": {}, "properties.a": 1}, "fields.properties.a"),
        ({"properties.a": 1, "properties.b": 1, "properties.a.c": 1}, "fields.properties.a.c"),
        ({"event": {"@nope": 1}}, "fields.event"),
        ({"event": {"@path": "$.a", "@case": "lower"}}, "fields.event"),
        ({"event": {"@path": "$.a", "x": 1}}, "fields.event"),
        ({"event": {"a": [{"@nope": 1}]}}, "fields.event.a.0"),
        ({"event": path("properties.a")}, "fields.event.@path"),
        ({"event": path("$.a[x]")}, "fields.event.@path"),
        ({"event": path("$..a")}, "fields.event.@path"),
        ({"event": path(5)}, "fields.event.@path"),
        ({"event": {"@template": "{{a..b}}"}}, "fields.event.@template"),
        ({"event": {"@template": 5}}, "fields.event.@template"),
        ({"event": {"@if": {"then": 1}}}, "fields.event.@if"),
        ({"event": {"@if": {"exists": 1, "blank": 1}}}, "fields.event.@if"),
        ({"event": {"@case": {"operator": "odd", "value": "a"}}}, "fields.event.@case.operator"),
        ({"event": {"@case": {"value": "a"}}}, "fields.event.@case"),
        ({"event": {"@case": {"operator": "lower", "value": {"@nope": 1}}}}, "fields.event.@case.value"),
        ({"event": {"@replace": {"pattern": "", "value": "a"}}}, "fields.event.@replace.pattern"),
        ({"event": {"@replace": {"pattern": "a", "value": "a", "global": 1}}}, "fields.event.@replace.global"),
        ({"event": {"@arrayPath": []}}, "fields.event.@arrayPath"),
        ({"event": {"@json": {"mode": "x", "value": 1}}}, "fields.event.@json.mode"),
        ({"event": {"@flatten": {"value": {}, "separator": 1}}}, "fields.event.@flatten.separator"),
        ({"event": {"@merge": {"objects": {}}}}, "fields.event.@merge.objects"),
        ({"event": {"@transform": {}}}, "fields.event.@transform"),
        ({"event": {"@date": {"value": 1, "format": "%Y"}}}, "fields.event.@date.format"),
        ({"event": {"@remove": False}}, "fields.event"),
        ({"event": {"a": {"@remove": True}}}, "fields.event.a"),
        ({f"properties.p{number}": 1 for number in range(201)}, "fields"),
        ({"event": "x" * 33_000}, "fields"),
    ],
)
def test_what_is_wrong_with_a_field_is_named(fields, field):
    with pytest.raises(InvalidRequestError) as raised:
        compile_fields(fields)
    assert raised.value.field == field


def test_levels_are_bounded():
    nested = "x"
    for _ in range(30):
        nested = {"@string": nested}
    with pytest.raises(InvalidRequestError, match="levels"):
        compile_fields({"event": nested})


@pytest.mark.parametrize(
    "costly",
    [
        {
            "@arrayPath": [
                "$.properties.many",
                {"@arrayPath": [{"@literal": list(range(200))}, {"@literal": "x" * 100}]},
            ]
        },
        {
            "@arrayPath": [
                "$.properties.many",
                {"@replace": {"pattern": "a", "replacement": "b" * 900, "value": "a" * 50}},
            ]
        },
        {"@replace": {"pattern": "a", "replacement": "b" * 900, "value": path("$.properties.long")}},
        {"@arrayPath": ["$.properties.many", {"@template": "x" * 9_000}]},
    ],
)
def test_a_mapping_that_makes_too_much_ends(costly):
    event = {**EVENT, "properties": {"many": list(range(1_000)), "long": "a" * 30_000}}
    with pytest.raises(MappingError, match="1 MB"):
        value_of(costly, event)


@pytest.mark.parametrize(("levels", "is_read"), [(64, True), (65, False), (10_000, False)])
def test_json_in_a_text_is_read_as_deep_as_an_event_may_be(levels, is_read):
    event = {**EVENT, "properties": {"deep": "[" * levels + "]" * levels}}
    found = value_of({"@flatten": {"value": {"@json": {"mode": "decode", "value": path("$.properties.deep")}}}}, event)
    assert (found is not None) is is_read


def test_an_object_stays_an_object():
    with pytest.raises(MappingError, match="properties"):
        compile_fields({"properties": path("$.userId")})(EVENT)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
READ = path("$.properties.a")
OF_VALUE = {
    "@case": {"operator": "snake", "value": READ},
    "@replace": {"pattern": "0", "replacement": "1", "value": READ},
    "@json": {"mode": "decode", "value": READ},
    "@flatten": {"value": READ},
    "@date": {"value": READ, "format": "epochMs"},
    "@merge": {"objects": [READ, {"b": READ}]},
    "@if": {"exists": READ, "then": READ},
    "@arrayPath": ["$.properties.a", path("$.b")],
    "@template": "{{properties.a}} {{properties.a.b}}",
    "@transform": {"apply": READ, "mapping": path("$.a")},
    "@path": "$.properties.a[0].b",
}


@settings(deadline=None)
@given(st.sampled_from(sorted(DIRECTIVES)), json_values)
def test_an_event_of_any_shape_is_mapped_to_json_and_stays_as_it_was(name, value):
    event = {"type": "track", "properties": {"a": value}}
    before = copy.deepcopy(event)
    try:
        mapped = compile_fields({"properties.out": {name: OF_VALUE.get(name, READ)}})(event)
    except MissingFieldError:
        assert name == "@required"
    else:
        again = msgspec.json.decode(msgspec.json.encode(mapped))
        assert again.keys() == event.keys()
    assert event == before
