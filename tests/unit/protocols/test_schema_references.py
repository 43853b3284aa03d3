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
    assert [violation.field for violation, _ in found] == ["a.amount"]
