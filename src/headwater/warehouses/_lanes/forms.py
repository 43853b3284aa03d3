"""What a warehouse's settings say of themselves."""

from __future__ import annotations


def setting(label: str, description: str, *, secret: bool = False, required: bool = False) -> dict[str, str | bool]:
    """Return dataclass field metadata: what the web form, the CLI option and the docs page show."""
    return {"label": label, "description": description, "secret": secret, "required": required}
