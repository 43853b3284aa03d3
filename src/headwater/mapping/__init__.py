"""Field mappings: what is set in an event on its way to a destination, told by directives such as `@path`.

Source: the mapping kit of Segment's open action destinations, whose directives these are; `@required`, `@remove`,
`@number`, `@string`, `@bool`, `@date` and `@hash` are ours.
"""

from __future__ import annotations

from headwater.mapping.fields import FIELDS_MAX, compile_fields
from headwater.mapping.work import MappingError, MissingFieldError

__all__ = ["FIELDS_MAX", "MappingError", "MissingFieldError", "compile_fields"]
