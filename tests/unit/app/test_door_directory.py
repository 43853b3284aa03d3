"""Whom the door knows: a former webhook address works until its time is over, and no longer."""

from datetime import UTC, datetime, timedelta

import pytest

from headwater.app.directory import SnapshotDirectory
from headwater.control.models import Source
from headwater.control.snapshot import Snapshot

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SOURCE = Source(
    id="s1",
    workspace_id="w1",
    slug="email",
    name="Email",
    type="activecampaign",
    schema_name="email",
    enabled=True,
    write_keys=("key",),
    created_at=NOW,
    webhook_secret="present",
    former_webhook_secret="former",
    former_until=NOW + timedelta(hours=24),
)


@pytest.mark.parametrize(
    ("after", "secret", "is_known"),
    [
        (timedelta(0), "present", True),
        (timedelta(0), "former", True),
        (timedelta(hours=24) - timedelta(microseconds=1), "former", True),
        (timedelta(hours=24), "former", False),
        (timedelta(days=365), "present", True),
        (timedelta(0), "", False),
        (timedelta(0), "other", False),
    ],
)
def test_an_address_works_while_it_is_the_present_one_or_not_long_former(after, secret, is_known):
    directory = SnapshotDirectory(Snapshot(1, (SOURCE,), (), ()), "http://host", clock=lambda: NOW + after)
    found = directory.by_webhook_secret(secret)
    assert (found is not None and found.id == "s1") == is_known
