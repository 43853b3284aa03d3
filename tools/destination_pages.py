"""Write docs/destinations/: a page for each destination on the shelf, made from its settings and its mapping.

Usage: tools/destination_pages.py [--check]

`--check` writes nothing and exits with 1 when a page is not what the shelf says.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from headwater.control.catalog import Catalog, Entry, Kind
from headwater.control.options import Option
from headwater.destinations.contract import Card, Rule
from headwater.spec.event import Call

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "destinations"
NAV = ROOT / "zensical.toml"
_NAV_BLOCK = re.compile(r'(\{ "Destinations" = \[\n)(.*?)(\n  \] \},)', re.DOTALL)
_CALLS = tuple(Call)


def pages() -> dict[Path, str]:
    """Return every generated file and its text."""
    entries = Catalog().entries(Kind.DESTINATION)
    found = {PAGES / f"{entry.module_name}.md": page(entry) for entry in entries}
    return found | {PAGES / "index.md": index(entries), NAV: nav(entries)}


def page(entry: Entry) -> str:
    """Return the page of one destination."""
    card: Card = entry.card
    parts = [f"# {card.name}", f"{card.description} {_called(card)}", _extra(card), _create(entry)]
    parts += ["## Settings", _settings(entry.options)]
    if card.mapping:
        parts += ["## What goes where", _mapping(card.mapping)]
    if card.notes:
        parts += ["## Good to know", "\n".join(f"- {note}" for note in card.notes)]
    parts.append(_end(card))
    return "\n\n".join(part for part in parts if part) + "\n"


def _called(card: Card) -> str:
    takes = ", ".join(f"`{call}`" for call in _CALLS if call in card.calls)
    order = " Events of one user arrive in order." if card.ordered else ""
    return f"It takes {takes}; in an event's `integrations` object its name is `{card.name}`.{order}"


def _extra(card: Card) -> str:
    return f"It needs an extra: `pip install 'headwater[{card.needs}]'`." if card.needs else ""


def _create(entry: Entry) -> str:
    given = [
        f"--set-env {option.name}={option.name.upper()}" if option.secret else f"--set {option.name}=…"
        for option in entry.options
        if option.required
    ]
    lines = [f'headwater destinations create --source website --type {entry.slug} --name "{entry.name}"', *given]
    test = f'headwater destinations test "{entry.name}" --sample track'
    return "```\n" + " \\\n  ".join(lines) + f"\n{test}\n```"


def _settings(options: tuple[Option, ...]) -> str:
    rows = [(f"`{each.name}`", each.label, _must(each), each.description + _choices(each)) for each in options]
    return _table(("setting", "on the form", "", "what it is"), rows)


def _must(option: Option) -> str:
    if option.required:
        return "required"
    if option.default in (None, "", [], {}) or option.secret:
        return ""
    shown = str(option.default).lower() if isinstance(option.default, bool) else option.default
    return f"default `{shown}`"


def _choices(option: Option) -> str:
    choices = getattr(option, "choices", ())
    return f" One of {', '.join(f'`{each}`' for each in choices)}." if choices else ""


def _mapping(rules: tuple[Rule, ...]) -> str:
    rows = [(rule.call, _code(rule.source), _code(rule.target), rule.note) for rule in rules]
    return _table(("call", "in the event", "there", ""), rows)


def _code(text: str) -> str:
    """Return a path or a name as code; what marks its own code stays as it is."""
    return text if not text or "`" in text else f"`{text}`"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _end(card: Card) -> str:
    api = f"The mapping follows <{card.api}>. " if card.api else ""
    return (
        f"{api}How retries, order, dead letters and replay work is told in [Delivery](../delivery.md); how events are "
        "filtered and changed on their way in [Filters and mappings](../filters-and-mappings.md)."
    )


def index(entries: list[Entry]) -> str:
    """Return the list of all destinations."""
    rows = [
        (
            f"[{entry.name}]({entry.module_name}.md)",
            entry.description,
            ", ".join(str(call) for call in _CALLS if call in entry.card.calls),
        )
        for entry in entries
    ]
    return "# Destinations\n\n" + _table(("destination", "what it does", "calls"), rows) + "\n"


def nav(entries: list[Entry]) -> str:
    """Return zensical.toml with a line for each page."""
    fixed = (
        ("All destinations", "destinations/index.md"),
        ("Delivery", "delivery.md"),
        ("Filters and mappings", "filters-and-mappings.md"),
        ("Functions", "functions.md"),
        ("Adding a destination", "adding-a-destination.md"),
    )
    made = ((entry.name, f"destinations/{entry.module_name}.md") for entry in entries)
    lines = "\n".join(f'    {{ "{name}" = "{file}" }},' for name, file in (*fixed, *made))
    return _NAV_BLOCK.sub(lambda found: found[1] + lines + found[3], NAV.read_text())


def stale() -> Iterator[Path]:
    """Yield the files that are not what they should be, also pages of what is gone."""
    wanted = pages()
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            yield path
    for path in PAGES.glob("*.md"):
        if path not in wanted:
            yield path


def main() -> int:
    """Write the pages, or check them."""
    if unknown := set(sys.argv[1:]) - {"--check"}:
        print(f"{min(unknown)} is unknown; there is only --check")
        return 2
    if "--check" in sys.argv:
        names = [str(path.relative_to(ROOT)) for path in stale()]
        for name in names:
            print(f"{name} is stale: run `make destination-pages`")
        return 1 if names else 0
    PAGES.mkdir(exist_ok=True)
    for path in stale():
        if path in (wanted := pages()):
            path.write_text(wanted[path])
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
