"""Labels."""

from __future__ import annotations

import msgspec

from headwater.control.api.models.sources import Label


class Labels(msgspec.Struct, rename="camel"):
    """Labels of the workspace, or of a source."""

    labels: list[Label]


class OneLabel(msgspec.Struct, rename="camel"):
    """One label."""

    label: Label
