from datetime import UTC, datetime, timedelta

import pytest

from headwater.control.service import Control, open_control


class Ticking:
    """A clock that moves a second each time it is read, and further when told."""

    def __init__(self):
        self.at = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self):
        self.at += timedelta(seconds=1)
        return self.at


@pytest.fixture
def clock():
    return Ticking()


@pytest.fixture
def control(tmp_path, clock):
    opened: Control = open_control(f"sqlite:///{tmp_path}/control.db", b"k" * 32, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def workspace(control):
    return control.workspaces.get()
