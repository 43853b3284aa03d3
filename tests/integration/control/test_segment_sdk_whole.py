"""Whatever the API serves and Segment's own TypeScript SDK knows is asked for through the SDK by one of the tests."""

import re
from pathlib import Path

from headwater.control import api
from headwater.control.api import segment


def test_the_sdk_is_driven_through_everything_that_is_served(shared):
    paths = api.described(shared.routes)["paths"]
    served = {f"{each.upper()} {re.sub(r'{.*?}', '{}', path)}" for path, methods in paths.items() for each in methods}
    wanted = {name for place, name in segment.OPERATIONS.items() if place in served}
    assert len(wanted) > 100
    scripts = "".join(each.read_text() for each in Path(__file__).parent.glob("test_segment_*.py"))
    assert wanted - set(re.findall(r"\.(\w+)\(", scripts)) == set()
