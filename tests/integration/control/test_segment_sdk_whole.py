"""Whatever the API serves and Segment's own TypeScript SDK knows is asked for through the SDK by one of the tests."""

import re
import shutil
from pathlib import Path

import pytest
from test_segment_public_api_sdk import PACKAGE, driven

from headwater.control import api

OPERATIONS = Path(__file__).with_name("sdk_operations.js")
FAMILIES = {
    "audit-events",
    "catalog",
    "delivery-overview",
    "destinations",
    "echo",
    "events",
    "functions",
    "insert-function-instances",
    "invites",
    "labels",
    "regulations",
    "roles",
    "sources",
    "suppressions",
    "tracking-plans",
    "users",
    "warehouses",
}
"""First words of paths: what the SDK knows below them is served, save what `LEFT_OUT` names."""
LEFT_OUT = re.compile(r"/sources/\{\}/edge-functions|/users/\{\}/groups")
"""Code that runs on phones, and groups of people."""


def plain(path):
    return re.sub(r"\{\w+\}", "{}", path)


@pytest.mark.skipif(not shutil.which("node") or not PACKAGE.exists(), reason="Segment's TypeScript SDK needs npm")
def test_the_sdk_is_driven_through_everything_that_is_served(shared, tmp_path):
    known = {(method, plain(path)): name for name, method, path in driven(shared, tmp_path, OPERATIONS.read_text())}
    paths = api.described(shared.routes)["paths"]
    served = {(method.upper(), plain(path)) for path, methods in paths.items() for method in methods}
    scripts = "".join(each.read_text() for each in Path(__file__).parent.glob("test_segment_*.py"))
    silent = {name for at, name in known.items() if at in served and not re.search(rf"\.{name}\(", scripts)}
    assert len(known.keys() & served) > 100
    assert silent == set()
    missing = {at for at in known.keys() - served if at[1].split("/")[1] in FAMILIES and not LEFT_OUT.match(at[1])}
    assert missing == set()
