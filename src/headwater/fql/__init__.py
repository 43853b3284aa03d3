"""FQL, Segment's filter query language: parsed, checked and compiled to a test of one event.

Source: Segment, Destination Filter Query Language.
"""

from __future__ import annotations

from headwater.fql.condition import CONDITION_BYTES_MAX, Condition, parse
from headwater.fql.values import EvaluationError

__all__ = ["CONDITION_BYTES_MAX", "Condition", "EvaluationError", "parse"]
