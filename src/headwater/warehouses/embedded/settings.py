"""What a user fills in: a directory, and a bucket for a copy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headwater.warehouses._lanes import places


def _setting(label: str, description: str, *, secret: bool = False) -> dict[str, Any]:
    """Return what forms and docs say of a field; all of them may be empty."""
    return {"label": label, "description": description, "secret": secret, "required": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where an embedded warehouse lies."""

    directory: str = field(
        default="",
        metadata=_setting("Directory", "A directory on this machine; empty for a place in Headwater's data directory."),
    )
    bucket: str = field(
        default="",
        metadata=_setting("Bucket", "S3-compatible storage that gets a copy for other machines; empty for none."),
    )
    endpoint: str = field(
        default="",
        metadata=_setting("Endpoint", "https://HOST of the storage; empty is Amazon's for the region."),
    )
    region: str = field(default="us-east-1", metadata=_setting("Region", "The bucket's region."))
    prefix: str = field(
        default="",
        metadata=_setting("Prefix", "What each key begins with; nothing else may lie under it."),
    )
    access_key: str = field(default="", metadata=_setting("Access key ID", "Of a user who may list, read and write."))
    secret_key: str = field(
        default="", repr=False, metadata=_setting("Secret access key", "The key's secret.", secret=True)
    )


def directory_of(settings: Settings, home: Path) -> Path:
    """Return where a warehouse keeps its files.

    Raises:
        DeliveryError: they may not lie there.
    """
    if not settings.directory:
        return home.absolute()
    return places.allowed(Path(settings.directory).expanduser().absolute(), home)
