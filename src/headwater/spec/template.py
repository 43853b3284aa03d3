"""Text with places for an event's values, such as `{{ event }} by {{ traits.email | userId }}`.

A place names dotted paths into the event, apart by `|`; the first that holds something is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from headwater.spec.conventions import value

_PLACE: Final = re.compile(r"\{\{([^{}]*)\}\}")


def rendered(template: str, body: Mapping[str, Any], clean: Callable[[str], str] = str) -> str:
    """Return the template with each place filled from the body; a place that nothing stands at becomes "".

    `clean` is applied to each value as text, and not to the template: it escapes what the text's reader would obey.
    """
    return _PLACE.sub(lambda found: clean(_written(value(body, *_paths(found[1])))), template)


def _paths(place: str) -> list[str]:
    return [path.strip() for path in place.split("|") if path.strip()]


def _written(found: Any) -> str:
    match found:
        case None:
            return ""
        case str():
            return found
        case _:
            return json.dumps(found, ensure_ascii=False)
