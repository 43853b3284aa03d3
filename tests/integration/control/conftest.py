"""Fixtures: control planes that run."""

from datetime import UTC, datetime

import pytest
from plane import starting


@pytest.fixture
def start(tmp_path):
    with starting(tmp_path) as started:
        yield started


@pytest.fixture
def running(start):
    return start()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One control plane for the tests that change nothing."""
    with starting(tmp_path_factory.mktemp("shared")) as started:
        yield started()


@pytest.fixture
def clock_now():
    return datetime.now(UTC)
