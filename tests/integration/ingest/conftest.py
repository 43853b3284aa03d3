from __future__ import annotations

from collections.abc import Iterator

import pytest
from door import Door, open_door


@pytest.fixture
def door() -> Iterator[Door]:
    with open_door() as running:
        yield running
