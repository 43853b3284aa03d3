"""Values with directives in them, read once and compiled to closures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec import UNSET

from headwater.errors import InvalidRequestError
from headwater.mapping.work import Evaluated, Work

DEPTH_MAX: Final = 20  # ours: levels of values and directives inside each other


class Directive(Protocol):
    """Reads what stands behind one directive."""

    def __call__(self, argument: Any, at: str, compiler: Compiler) -> Evaluated:
        """Return what computes it; `at` is the path of the argument for errors."""
        ...


def wrong(message: str, at: str) -> InvalidRequestError:
    """Return the error for a mapping that cannot be read; `at` is where, such as `fields.event.@case`."""
    return InvalidRequestError(message, field=at)


class Compiler:
    """Knows the directives, and how deep it stands."""

    def __init__(self, directives: Mapping[str, Directive], depth: int = 0) -> None:
        """Take the directives by name, with their `@`."""
        self._directives, self._depth = directives, depth

    def value(self, value: Any, at: str) -> Evaluated:
        """Return what computes a value: a directive, an object or a list with directives, or the thing itself.

        Raises:
            InvalidRequestError: an unknown or wrong directive; `field` is where it stands.
        """
        if self._depth >= DEPTH_MAX:
            raise wrong(f"A mapping has at most {DEPTH_MAX} levels.", at)
        inner = Compiler(self._directives, self._depth + 1)
        if isinstance(value, Mapping):
            names = [name for name in value if str(name).startswith("@")]
            if not names:
                return _object({str(name): inner.value(each, f"{at}.{name}") for name, each in value.items()})
            if len(value) > 1:
                raise wrong("A directive stands alone in its object; `@merge` joins objects.", at)
            return inner.directive(names[0], value[names[0]], at)
        if isinstance(value, list | tuple):
            return _list([inner.value(each, f"{at}.{place}") for place, each in enumerate(value)])
        if value is not None and not isinstance(value, str | int | float):
            raise wrong("A value is text, a number, true, false, null, a list or an object.", at)
        return lambda _, work: work.spend(value)

    def directive(self, name: str, argument: Any, at: str) -> Evaluated:
        """Return what computes one directive."""
        directive = self._directives.get(name)
        if directive is None:
            raise wrong(f"There is no directive `{name[:40]}`; there are {', '.join(sorted(self._directives))}.", at)
        return directive(argument, f"{at}.{name}", self)

    def options(
        self, argument: Any, at: str, needed: Sequence[str], others: Sequence[str] = ()
    ) -> tuple[Mapping[str, Any], Evaluated]:
        """Return a directive's options and what computes its `value`, if that is one of them."""
        allowed = [*needed, *others]
        if not isinstance(argument, Mapping) or not set(needed) <= set(argument) <= set(allowed):
            optional = f" and may have {', '.join(others)}" if others else ""
            raise wrong(f"This directive takes an object with {', '.join(needed)}{optional}.", at)
        return argument, self.value(argument.get("value"), f"{at}.value")


def choice(options: Mapping[str, Any], name: str, choices: Sequence[str], at: str, default: str = "") -> str:
    """Return an option that is one of a few words."""
    chosen = options.get(name, default)
    if chosen not in choices:
        raise wrong(f"`{name}` is one of {', '.join(choices)}.", f"{at}.{name}")
    return str(chosen)


def text(options: Mapping[str, Any], name: str, at: str, default: str = "") -> str:
    """Return an option that is a text."""
    chosen = options.get(name, default)
    if not isinstance(chosen, str):
        raise wrong(f"`{name}` is a text.", f"{at}.{name}")
    return chosen


def flag(options: Mapping[str, Any], name: str, at: str, *, default: bool) -> bool:
    """Return an option that is true or false."""
    chosen = options.get(name, default)
    if not isinstance(chosen, bool):
        raise wrong(f"`{name}` is true or false.", f"{at}.{name}")
    return chosen


def applied(value: Evaluated, change: Callable[[Any], Any]) -> Evaluated:
    """Return what changes a value; nothing and null stay what they are."""

    def evaluate(scope: Any, work: Work) -> Any:
        found = value(scope, work)
        return found if found is UNSET or found is None else work.spend(change(found))

    return evaluate


def _object(members: Mapping[str, Evaluated]) -> Evaluated:
    def evaluate(scope: Any, work: Work) -> dict[str, Any]:
        found = {name: each(scope, work) for name, each in members.items()}
        return {name: each for name, each in found.items() if each is not UNSET}

    return evaluate


def _list(elements: Sequence[Evaluated]) -> Evaluated:
    def evaluate(scope: Any, work: Work) -> list[Any]:
        found = [each(scope, work) for each in elements]
        return [each for each in found if each is not UNSET]

    return evaluate
