"""`/api/docs`: the Public API's description as pages, made from its OpenAPI document; anybody may read them."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headwater import clock as wall
from headwater.web.rendering import Renderer
from headwater.web.visit import theme_of

_DEPTH_MAX: Final = 4  # ours: what lies deeper is in the document
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_WORDS: Final = {"string": "text", "integer": "whole number", "boolean": "true or false"}

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """One line of a table: what something is called, what it takes, and what it means."""

    name: str
    type: str
    required: bool
    description: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One operation as its page shows it.

    Attributes:
        statuses: (status, what it means), the refusals.
        files: other media types of the answer.
    """

    id: str
    method: str
    path: str
    summary: str
    description: str
    role: str
    scope: str
    parameters: tuple[Member, ...]
    body: tuple[Member, ...]
    answer: tuple[Member, ...]
    files: tuple[str, ...]
    statuses: tuple[tuple[str, str], ...]
    example: str


@dataclass(frozen=True, slots=True)
class Family:
    """Operations about one kind of thing."""

    name: str
    description: str
    operations: tuple[Told, ...]


def build(document: Schema, public_url: str) -> list[Route]:
    """Return the routes of the pages; they stand before the API's own, which ask for a token."""
    pages = _Pages(document, public_url)
    methods = ["GET", "HEAD"]
    return [
        Route("/api/docs", pages.first, methods=methods),
        Route("/api/docs/{family}", pages.family, methods=methods),
    ]


class _Pages:
    """Rendered once for each theme, and kept."""

    def __init__(self, document: Schema, public_url: str) -> None:
        self._document, self._public_url, self._renderer = document, public_url, Renderer(wall.now)
        self._families = {each.name: each for each in families(document)}
        self._rendered = functools.lru_cache(maxsize=3 * (len(self._families) + 2))(self._render)

    async def first(self, request: Request) -> Response:
        """Answer with what there is, and how to begin."""
        return self._rendered(None, theme_of(request))

    async def family(self, request: Request) -> Response:
        """Answer with the operations of one family."""
        name = request.path_params["family"]
        return self._rendered(name if name in self._families else "", theme_of(request))

    def _render(self, name: str | None, theme: str) -> Response:
        values = {
            "theme": theme,
            "info": self._document["info"],
            "public_url": self._public_url,
            "families": list(self._families.values()),
            "family": self._families.get(name or ""),
            "is_missing": name == "",
        }
        return self._renderer.page("api-docs.html", values, status=404 if name == "" else 200)


def families(document: Schema) -> list[Family]:
    """Return what the document describes, family by family."""
    found: dict[str, list[Told]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                found[methods[method]["tags"][0]].append(_told(document, path, method, methods[method]))
    told = {tag["name"]: tag.get("description", "") for tag in document["tags"]}
    return [Family(name, told[name], tuple(operations)) for name, operations in found.items()]


def _told(document: Schema, path: str, method: str, operation: Schema) -> Told:
    done = next(each for status, each in operation["responses"].items() if status.startswith("2"))
    content = done["content"]
    data = content.get("application/json", {}).get("schema", {}).get("properties", {}).get("data", {})
    wanted = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return Told(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        role=operation["x-role"],
        scope=operation["x-scope"],
        parameters=tuple(_parameter(each) for each in operation["parameters"]),
        body=tuple(_members(document, wanted.get("schema", {}))),
        answer=tuple(_members(document, data)),
        files=tuple(kind for kind in content if not kind.endswith("json")),
        statuses=tuple(
            (status, _resolved(document, each)["description"])
            for status, each in operation["responses"].items()
            if not status.startswith("2")
        ),
        example=_example(method, path, wanted.get("example")),
    )


def _parameter(parameter: Schema) -> Member:
    name = parameter["name"]
    if parameter.get("style") == "deepObject":
        name = " ".join(f"{name}[{member}]" for member in parameter["schema"]["properties"])
    kind = _type(parameter["schema"])
    return Member(name, kind, parameter["required"], parameter["description"], parameter["in"])


def _members(document: Schema, schema: Schema, before: str = "", depth: int = 0) -> Iterator[Member]:
    """Yield the members of an object, those of objects inside it after it, with dots."""
    whole = _resolved(document, schema)
    needed = whole.get("required", ())
    for name, each in whole.get("properties", {}).items():
        found = _resolved(document, each)
        yield Member(f"{before}{name}", _type(each, document), name in needed, each.get("description", ""))
        inner, mark = _inner(document, found)
        if depth < _DEPTH_MAX and "properties" in inner:
            yield from _members(document, inner, f"{before}{name}{mark}.", depth + 1)


def _inner(document: Schema, schema: Schema) -> tuple[Schema, str]:
    """Return the object that a schema holds, and how its place is written: `[]` in a list, `.*` by any name."""
    schema = _resolved(document, schema)
    if "anyOf" in schema:
        objects = [_resolved(document, each) for each in schema["anyOf"] if each.get("type") != "null"]
        return _inner(document, objects[0]) if len(objects) == 1 else ({}, "")
    if isinstance(schema.get("items"), Mapping):
        return _resolved(document, schema["items"]), "[]"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return _resolved(document, schema["additionalProperties"]), ".*"
    return schema, ""


def _type(schema: Schema, document: Schema | None = None) -> str:
    """Return in words what a schema takes."""
    if document is not None:
        schema = _resolved(document, schema)
    if "anyOf" in schema:
        return " or ".join(_type(each, document) for each in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(str(each) for each in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema.get('items') or {}, document)}"
    if kind == "integer" and "maximum" in schema:
        return f"whole number, {schema.get('minimum', 0):,} to {schema['maximum']:,}"
    return _WORDS.get(kind, str(kind))


def _resolved(document: Schema, schema: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    found: Schema = document
    for step in schema["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def _example(method: str, path: str, body: Any) -> str:
    """Return the request as a command for a shell."""
    named = path.replace("{", "$").replace("}", "")
    lines = [f'curl -X {method.upper()} "$HEADWATER_URL/api{named}"', '  -H "Authorization: Bearer $HEADWATER_TOKEN"']
    if body is not None:
        lines += ['  -H "Content-Type: application/json"', f"  -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"]
    return " \\\n".join(lines)
