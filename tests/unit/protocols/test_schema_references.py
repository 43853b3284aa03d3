"""What a schema refers to: a small text must not make endless work of one event."""

import pytest

from headwater.errors import InvalidRequestError
from headwater.protocols import schemas
from headwater.protocols.references import WRITTEN_OUT_MAX


def doubling(levels, keyword="allOf"):
    """A schema in which each part refers twice to the next one: 2 ** levels checks of one value."""
    parts = {f"a{n}": {keyword: [{"$ref": f"#/definitions/a{n + 1}"}] * 2} for n in range(levels)}
    return {"definitions": parts | {f"a{levels}": {"type": "string"}}, "$ref": "#/definitions/a0"}


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_references_that_double_are_refused_before_they_are_ever_followed(keyword):
    with pytest.raises(InvalidRequestError, match=f"larger than {WRITTEN_OUT_MAX:,} parts") as refused:
        schemas.checked(doubling(60, keyword), "rules.0.jsonSchema")
    assert refused.value.field == "rules.0.jsonSchema"


def test_a_doubling_by_each_level_of_the_event_is_refused():
    deeper = {"properties": {"c": {"allOf": [{"$ref": "#/definitions/n"}] * 2}}}
    with pytest.raises(InvalidRequestError, match="leads back to itself"):
        schemas.checked({"definitions": {"n": deeper}, "$ref": "#/definitions/n"}, "s")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"definitions": {"a/b": {"$ref": "#/definitions/a~1b"}}, "$ref": "#/definitions/a~1b"},
        {"definitions": {"a": {"not": {"$ref": "#/definitions/%61"}}}, "$ref": "#/definitions/a"},
        {"allOf": [{"anyOf": [{"$ref": "#/allOf/0"}]}]},
        {"$id": "http://example.com/a", "allOf": [{"$ref": "http://example.com/a#"}]},
        {"definitions": {"a": {"$id": "http://example.com/a", "definitions": {}, "$ref": "#/definitions/b"}}},
        {"definitions": {"a": {"$id": "#a"}}, "$ref": "#a"},
        {"$ref": "file:///etc/passwd"},
    ],
)
def test_what_leads_back_or_elsewhere_is_refused(schema):
    with pytest.raises(InvalidRequestError):
        schemas.checked(schema, "s")


def test_parts_that_are_shared_and_members_called_ref_are_taken():
    money = {"type": "object", "properties": {"amount": {"$ref": "#/definitions/price"}}}
    parts = {"price": {"type": "number"}, "money": money}
    named = {"$ref": {"type": "string"}, "a": {"$ref": "#/definitions/money"}, "b": {"$ref": "#/definitions/money"}}
    stored = schemas.checked({"definitions": parts, "properties": named}, "s")
    assert "#/definitions/money" in stored
    found = schemas.Validator({"definitions": parts, "properties": named}).violations({"a": {"amount": "x"}})
    assert ([each.field for each in found.violations], found.paths) == (["a.amount"], [("a", "amount")])


@pytest.mark.parametrize(
    ("inner", "elements"),
    [
        ({"type": "string"}, [1] * 10_000),
        ({"anyOf": [{"const": number} for number in range(500)]}, [-1] * 1_000),
        ({"$ref": "#/definitions/wide"}, [{}] * 1_000),
        ({"enum": list(range(2_000))}, [-1] * 1_000),
    ],
)
def test_of_an_event_that_is_wrong_all_over_one_thing_is_told(inner, elements):
    """Telling all takes seconds, and whoever has a write key can send such an event."""
    wide = {"required": [f"r{number}" for number in range(100)]}
    validator = schemas.Validator({"definitions": {"wide": wide}, "properties": {"x": {"items": inner}}})
    found = validator.violations({"x": elements})
    assert (len(found.violations), found.is_all) == (1, False)


def test_an_ordinary_event_is_told_in_full():
    schema = {"required": ["a", "b"], "properties": {f"p{number}": {"type": "string"} for number in range(300)}}
    found = schemas.Validator(schema).violations({f"p{number}": number for number in range(200)})
    assert (len(found.violations), len(found.paths), found.is_all) == (schemas.VIOLATIONS_MAX, 202, True)
