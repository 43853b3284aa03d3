"""The OpenAPI 3.1 document of the Public API, made from the same operations that answer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

import headwater
from headwater.control.api import segment
from headwater.control.api.bodies import PLAIN
from headwater.control.api.conditions import KEY_CHARS_MAX
from headwater.control.api.door import Operation
from headwater.control.api.examples import example_of
from headwater.control.api.paging import COUNT_DEFAULT, COUNT_MAX
from headwater.control.api.refusing import RequestErrors
from headwater.control.api.words import FAMILIES, MEMBERS

Shape = dict[str, Any]

_MEDIA_TYPES: Final = (PLAIN, "application/vnd.segment.v1+json")
_PREFIX: Final = re.compile(r"^headwater\.control\.api\.(?:models\.)?")
_COMPONENTS: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_CHANGES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_REFUSALS: Final = {
    400: ("Malformed", "The body is no JSON."),
    401: ("Unauthorized", "There is no token, or it is unknown, expired or revoked."),
    403: ("Forbidden", "The token's role, scopes, sources or region do not suffice."),
    404: ("NotFound", "What the request names does not exist in this workspace."),
    409: ("Conflict", "It contradicts what is stored, or its Idempotency-Key was sent with another request."),
    412: ("PreconditionFailed", "It was changed since the ETag of If-Match was read; nothing is done."),
    413: ("TooLarge", "The body is too large."),
    415: ("UnsupportedMediaType", "The body is not sent as JSON, or compressed."),
    422: ("Invalid", "A parameter or member is unknown, missing or wrong; `field` names it."),
    429: ("TooManyRequests", "Too many requests; Retry-After says how many seconds to wait."),
    503: ("Unavailable", "A part of Headwater cannot be reached now; try again."),
}
_DESCRIPTION: Final = (
    "Operations, paths and shapes are those of Segment's Public API where it has them; what is Headwater's own follows "
    "the same style. Answers are `{data: …}`, refusals `{errors: […]}`. Lists are read page by page with "
    "`pagination[count]` and `pagination[cursor]`. A change that is sent with an `Idempotency-Key` is carried out "
    "once, however often it is sent; one with `If-Match` is carried out only while the thing is as it was read."
)


def document(operations: Iterable[Operation]) -> Shape:
    """Return the document; operations are in the order of their paths."""
    found = sorted(operations, key=lambda each: (_family(each), each.path, each.method))
    models = [RequestErrors, *(model for each in found for model in (each.body, each.answer) if model is not None)]
    unique = list(dict.fromkeys(models))
    references, schemas = msgspec.json.schema_components(unique, ref_template=_COMPONENTS)
    by_model = dict(zip(unique, references, strict=True))
    paths: dict[str, Shape] = {}
    for each in found:
        paths.setdefault(each.path, {})[each.method.lower()] = _described(each, by_model)
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Headwater Public API",
            "version": headwater.__version__,
            "summary": "Sources, destinations, warehouses, people and privacy of a workspace.",
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/api"}],
        "security": [{"token": []}],
        "tags": [_tag(family) for family in sorted({_family(each) for each in found})],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": _TOKEN}},
            "headers": _HEADERS,
            "responses": {name: _refusal(status, by_model[RequestErrors]) for status, (name, _) in _REFUSALS.items()},
            "schemas": {_short(name): _with_words(schema) for name, schema in schemas.items()},
        },
    }
    renamed: Shape = _renamed(whole)
    return renamed


_TOKEN: Final = "`headwater token create` makes one, and so does the page Access tokens."  # noqa: S105 - a sentence
_HEADERS: Final[Mapping[str, Shape]] = {
    "ETag": {"description": "Of this state; If-Match takes it.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
    "RateLimit-Limit": {"description": "How many requests may come at once.", "schema": {"type": "integer"}},
    "RateLimit-Remaining": {"description": "How many may still come now.", "schema": {"type": "integer"}},
    "RateLimit-Reset": {"description": "Seconds until all may come again.", "schema": {"type": "integer"}},
}


def _described(operation: Operation, by_model: Mapping[Any, Shape]) -> Shape:
    told = _told(operation)
    described: Shape = {
        "operationId": _name(operation),
        "tags": [_family(operation)],
        "summary": told[0],
        "parameters": [*_in_path(operation), *_in_query(operation), *_in_headers(operation)],
        "responses": {
            str(operation.status): _answer(operation, by_model),
            **{str(status): _reference("responses", _REFUSALS[status][0]) for status in _refusals(operation)},
        },
        "x-role": str(operation.role),
        "x-scope": operation.scope,
    }
    if told[1]:
        described["description"] = told[1]
    if operation.body is not None:
        example = example_of(operation.body)
        content = {kind: {"schema": by_model[operation.body], "example": example} for kind in _MEDIA_TYPES}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _told(operation: Operation) -> tuple[str, str]:
    """Return the summary and the rest of what the operation's function says about itself."""
    run: Callable[..., Any] = operation.run
    first, _, rest = (inspect.getdoc(run.func if isinstance(run, partial) else run) or "").partition("\n")
    text, _, _ = rest.partition("\nRaises:")
    return first.rstrip("."), " ".join(text.split())


def _name(operation: Operation) -> str:
    """Return Segment's name of an operation, else one of its method and path."""
    known = segment.name_of(operation.method, operation.path)
    if known is not None:
        return known
    parts = operation.path.strip("/").split("/")
    named = [
        _one_of(part) if following.startswith("{") else part
        for part, following in zip(parts, [*parts[1:], ""], strict=True)
        if not part.startswith("{")
    ]
    words = [word for part in named for word in part.split("-")]
    made = operation.method.lower() + "".join(word[0].upper() + word[1:] for word in words)
    return f"{made}ById" if made in segment.OPERATIONS.values() else made


def _one_of(plural: str) -> str:
    if plural.endswith("ies"):
        return f"{plural.removesuffix('ies')}y"
    return plural.removesuffix("s") if plural.endswith("s") else f"one-{plural}"


def _family(operation: Operation) -> str:
    return operation.scope.partition(":")[0]


def _tag(family: str) -> Shape:
    told = {"description": FAMILIES[family]} if family in FAMILIES else {}
    return {"name": family, **told}


def _in_path(operation: Operation) -> list[Shape]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": MEMBERS.get(name) or _said(name),
            "schema": {"type": "string", "minLength": 1},
        }
        for name in _PARAMETER.findall(operation.path)
    ]


def _said(name: str) -> str:
    """Return what a name says by itself, such as `channelId`."""
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()
    return f"The {words.removesuffix(' id')}'s id." if words.endswith(" id") else f"The {words}."


def _in_query(operation: Operation) -> list[Shape]:
    found = [
        {
            "name": each.name,
            "in": "query",
            "required": each.required,
            "description": each.description,
            "schema": dict(each.schema),
        }
        for each in operation.query
    ]
    if operation.paged:
        count = {"type": "integer", "minimum": 1, "maximum": COUNT_MAX, "default": COUNT_DEFAULT}
        members = {"count": count, "cursor": {"type": "string"}}
        schema = {"type": "object", "properties": members, "additionalProperties": False}
        told = "How many, and from which cursor on; the answer's `pagination.next` is the cursor of the page after."
        found.append(
            {"name": "pagination", "in": "query", "required": False, "description": told, "schema": schema}
            | {"style": "deepObject", "explode": True}
        )
    return found


def _in_headers(operation: Operation) -> list[Shape]:
    if operation.method not in _CHANGES:
        return []
    key = {"type": "string", "minLength": 1, "maxLength": KEY_CHARS_MAX, "pattern": "^[!-~]+$"}
    told = "Any unique text: sent again within a day, the request gets the answer that it got."
    found = [{"name": "Idempotency-Key", "in": "header", "required": False, "description": told, "schema": key}]
    if operation.method != "POST":
        tag = {"type": "string", "pattern": '^(\\*|(W/)?"[!#-~]*")$'}
        told = "The ETag that a GET gave: nothing is done if the thing has changed since."
        found.append({"name": "If-Match", "in": "header", "required": False, "description": told, "schema": tag})
    return found


def _answer(operation: Operation, by_model: Mapping[Any, Shape]) -> Shape:
    content: Shape = {kind: {"schema": {"type": "string"}} for kind in operation.files}
    if operation.answer is not None:
        data = {"type": "object", "required": ["data"], "properties": {"data": by_model[operation.answer]}}
        content |= {kind: {"schema": data} for kind in _MEDIA_TYPES}
    names = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]
    if operation.method == "GET" and not operation.paged and operation.answer is not None:
        names.insert(0, "ETag")
    headers = {name: _reference("headers", name) for name in names}
    return {"description": "It is done.", "headers": headers, "content": content}


def _refusal(status: int, errors: Shape) -> Shape:
    headers = {"Retry-After": _reference("headers", "Retry-After")} if status in {429, 503} else {}
    content = {kind: {"schema": errors} for kind in _MEDIA_TYPES}
    return {"description": _REFUSALS[status][1], "headers": headers, "content": content}


def _refusals(operation: Operation) -> list[int]:
    """Return the statuses with which an operation can refuse."""
    found = {401, 403, 429, 503}
    if _PARAMETER.search(operation.path) or operation.query or operation.body:
        found |= {404}
    if operation.query or operation.paged or operation.cost > 1:
        found |= {422}
    if operation.method in _CHANGES:
        found |= {404, 409, 412, 422}
    if operation.method in _WITH_BODY:
        found |= {413, 415}
    if operation.body is not None:
        found |= {400}
    return sorted(found)


def _reference(kind: str, name: str) -> Shape:
    return {"$ref": f"#/components/{kind}/{name}"}


def _with_words(schema: Shape) -> Shape:
    """Return the schema of a model, its members explained where their name says what they are."""
    members = {
        name: {**each, "description": MEMBERS[name]} if name in MEMBERS and "description" not in each else each
        for name, each in schema.get("properties", {}).items()
    }
    return {**schema, "properties": members} if members else schema


def _short(name: str) -> str:
    """Return the name of a model; one of two that are called alike has its family before it."""
    return _PREFIX.sub("", name)


def _renamed(value: Any) -> Any:
    """Return the document with references to the short names."""
    if isinstance(value, list):
        return [_renamed(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _pointer(each) if name == "$ref" else _renamed(each) for name, each in value.items()}


def _pointer(reference: str) -> str:
    place, _, name = reference.rpartition("/")
    return f"{place}/{_short(name)}"
