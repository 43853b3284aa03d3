"""What a warehouse's settings say of themselves."""

from __future__ import annotations


def setting(
    label: str, description: str, *, secret: bool = False, required: bool = False, is_long: bool = False
) -> dict[str, str | bool]:
    """Return dataclass field metadata: what the web form, the CLI option and the docs page show.

    Args:
        label: above the field.
        description: below it.
        secret: sealed, and never shown again.
        required: has to be given.
        is_long: a text of several lines, such as a key in PEM.
    """
    return {"label": label, "description": description, "secret": secret, "required": required, "long": is_long}
