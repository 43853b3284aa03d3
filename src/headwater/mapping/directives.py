"""The directives: each reads its argument once and returns what computes its value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from headwater.limits import EVENT_DEPTH_MAX
from headwater.mapping import conversions, jsonpath
from headwater.mapping.compiler import Compiler, Directive, applied, choice, flag, text, wrong
from headwater.mapping.work import Evaluated, MissingFieldError, Work
from headwater.spec import paths
from headwater.spec.parse import depth_of

_PLACEHOLDER: Final = re.compile(r"\{\{\{?\s*([^{}]*?)\s*\}?\}\}")


def _path(argument: Any, at: str, compiler: Compiler) -> Evaluated:  # noqa: ARG001 - the shape of a directive
    if not isinstance(argument, str):
        raise wrong("A path is a text such as `$.properties.plan`.", at)
    try:
        read = jsonpath.compiled(argument)
    except ValueError as error:
        raise wrong(str(error), at) from error
    return lambda scope, work: work.spend(read(scope))


def _template(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    if not isinstance(argument, str):
        raise wrong("A template is a text such as `Hello {{traits.name}}`.", at)
    pieces = _PLACEHOLDER.split(argument)  # text and places take turns
    places = [_place(path, at, compiler) for path in pieces[1::2]]

    def evaluate(scope: Any, work: Work) -> str:
        written = [pieces[0]]
        for place, literal in zip(places, pieces[2::2], strict=True):
            found = place(scope, work)
            written += ["" if found is UNSET else conversions.string(found), literal]
        return str(work.spend("".join(written)))

    return evaluate


def _place(path: str, at: str, compiler: Compiler) -> Evaluated:
    if path.startswith("$"):
        return _path(path, at, compiler)
    try:
        names = paths.names_of(path)
    except ValueError as error:
        raise wrong(str(error), at) from error
    return lambda scope, work: work.spend(paths.read(scope, names))


def _if(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    tests = [name for name in ("exists", "blank") if isinstance(argument, Mapping) and name in argument]
    if len(tests) != 1 or not set(argument) <= {tests[0], "then", "else"}:
        raise wrong("`@if` takes an object with `exists` or `blank`, `then` and `else`.", at)
    tested = compiler.value(argument[tests[0]], f"{at}.{tests[0]}")
    then, otherwise = (
        compiler.value(argument[name], f"{at}.{name}") if name in argument else lambda _scope, _work: UNSET
        for name in ("then", "else")
    )

    def evaluate(scope: Any, work: Work) -> Any:
        found = tested(scope, work)
        is_there = found is not UNSET and found is not None
        is_so = is_there if tests[0] == "exists" else not is_there or found == ""
        return (then if is_so else otherwise)(scope, work)

    return evaluate


def _case(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    options, value = compiler.options(argument, at, ("operator", "value"))
    change = conversions.CASES[choice(options, "operator", tuple(conversions.CASES), at)]
    return applied(value, lambda found: change(found) if isinstance(found, str) else found)


def _replace(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    options, value = compiler.options(
        argument, at, ("pattern", "value"), ("replacement", "pattern2", "replacement2", "global", "ignorecase")
    )
    flags = re.IGNORECASE if flag(options, "ignorecase", at, default=False) else re.NOFLAG
    count = 0 if flag(options, "global", at, default=True) else 1
    swaps = []
    for suffix in ("", "2") if "pattern2" in options else ("",):
        pattern, replacement = (text(options, f"{name}{suffix}", at) for name in ("pattern", "replacement"))
        if not pattern:
            raise wrong("The text that is replaced cannot be empty.", f"{at}.pattern{suffix}")
        swaps.append((re.compile(re.escape(pattern), flags), replacement))

    def evaluate(scope: Any, work: Work) -> Any:
        found = value(scope, work)
        if not isinstance(found, str):
            return found
        for expression, replacement in swaps:
            work.spend_bytes(len(replacement) * sum(1 for _ in expression.finditer(found)))
            found = work.spend(expression.sub(replacement.replace("\\", r"\\"), found, count=count))
        return found

    return evaluate


def _array_path(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    parts = [argument] if isinstance(argument, str) else argument
    if not isinstance(parts, list | tuple) or not 1 <= len(parts) <= 2:  # noqa: PLR2004
        raise wrong("`@arrayPath` takes a list: a path, and the value of each element.", at)
    source = compiler.value({"@path": parts[0]} if isinstance(parts[0], str) else parts[0], f"{at}.0")
    each = compiler.value(parts[1], f"{at}.1") if len(parts) > 1 else None

    def evaluate(scope: Any, work: Work) -> Any:
        found = source(scope, work)
        if found is UNSET or found is None:
            return UNSET
        elements = found if isinstance(found, list) else [found]
        mapped = elements if each is None else [each(element, work) for element in elements]
        return [element for element in mapped if element is not UNSET]

    return evaluate


def _json(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    options, value = compiler.options(argument, at, ("mode", "value"))
    if choice(options, "mode", ("encode", "decode"), at) == "encode":
        return applied(value, lambda found: msgspec.json.encode(found).decode())
    return applied(value, _decoded)


def _decoded(found: Any) -> Any:
    if not isinstance(found, str):
        return found
    try:
        line = found.encode()
        return msgspec.json.decode(line) if depth_of(line) <= EVENT_DEPTH_MAX else None
    except (msgspec.DecodeError, UnicodeError):
        return None


def _flatten(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    options, value = compiler.options(argument, at, ("value",), ("separator", "omitArrays"))
    separator = text(options, "separator", at, ".")
    keeps_lists = flag(options, "omitArrays", at, default=False)

    def flat(found: Any) -> Any:
        return dict(_flat(found, "", separator, keeps_lists=keeps_lists)) if isinstance(found, dict | list) else found

    return applied(value, flat)


def _flat(found: Any, prefix: str, separator: str, *, keeps_lists: bool) -> list[tuple[str, Any]]:
    members = found.items() if isinstance(found, dict) else enumerate(found)
    pairs: list[tuple[str, Any]] = []
    for name, each in members:
        path = f"{prefix}{name}"
        if isinstance(each, dict) or (isinstance(each, list) and not keeps_lists):
            pairs += _flat(each, f"{path}{separator}", separator, keeps_lists=keeps_lists)
        else:
            pairs.append((path, each))
    return pairs


def _merge(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    if not isinstance(argument, Mapping) or not {"objects"} <= set(argument) <= {"objects", "direction"}:
        raise wrong("`@merge` takes an object with `objects` and may have `direction`.", at)
    if not isinstance(argument["objects"], list):
        raise wrong("`objects` is a list.", f"{at}.objects")
    values = [compiler.value(each, f"{at}.objects.{place}") for place, each in enumerate(argument["objects"])]
    if choice(argument, "direction", ("right", "left"), at, "right") == "left":
        values.reverse()

    def evaluate(scope: Any, work: Work) -> Any:
        merged: dict[str, Any] = {}
        for value in values:
            found = value(scope, work)
            merged |= found if isinstance(found, dict) else {}
        return merged

    return evaluate


def _transform(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    if not isinstance(argument, Mapping) or set(argument) != {"apply", "mapping"}:
        raise wrong("`@transform` takes an object with `apply` and `mapping`.", at)
    first, then = (compiler.value(argument[name], f"{at}.{name}") for name in ("apply", "mapping"))
    return lambda scope, work: then(first(scope, work), work)


def _literal(argument: Any, at: str, compiler: Compiler) -> Evaluated:  # noqa: ARG001 - the shape of a directive
    return lambda _, work: work.spend(argument)


def _exclude_when_null(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    value = compiler.value(argument, at)

    def evaluate(scope: Any, work: Work) -> Any:
        found = value(scope, work)
        return UNSET if found is None else found

    return evaluate


def _required(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    value = compiler.value(argument, at)

    def evaluate(scope: Any, work: Work) -> Any:
        found = value(scope, work)
        if found is UNSET or found is None or found == "":
            raise MissingFieldError("The event has nothing for a field that the mapping requires.")
        return found

    return evaluate


def _date(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    options, value = compiler.options(argument, at, ("value",), ("format",))
    return applied(value, conversions.DATES[choice(options, "format", tuple(conversions.DATES), at, "iso")])


def _string(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    return applied(compiler.value(argument, at), conversions.string)


def _number(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    return applied(compiler.value(argument, at), conversions.number)


def _bool(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    return applied(compiler.value(argument, at), conversions.boolean)


def _hash(argument: Any, at: str, compiler: Compiler) -> Evaluated:
    return applied(compiler.value(argument, at), conversions.hashed)


DIRECTIVES: Final[dict[str, Directive]] = {
    "@path": _path,
    "@template": _template,
    "@if": _if,
    "@case": _case,
    "@replace": _replace,
    "@arrayPath": _array_path,
    "@json": _json,
    "@flatten": _flatten,
    "@merge": _merge,
    "@transform": _transform,
    "@literal": _literal,
    "@excludeWhenNull": _exclude_when_null,
    "@required": _required,
    "@date": _date,
    "@string": _string,
    "@number": _number,
    "@bool": _bool,
    "@hash": _hash,
}
