"""The page that ends a reload, over real HTTP: it ends none of another warehouse's, whoever knows its id."""

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request

import pytest
from plane import SECRET, serving

from headwater.control.live import Live
from headwater.eventlog.contract import Topic
from headwater.web import app as pages


@pytest.fixture
def page(running):
    """Return a function that asks for a page, or posts a form to it, as a browser with cookies does."""
    routes = pages.build(
        running.control,
        running.volume,
        Live(running.log),
        Live(running.log, Topic.REJECTED),
        running.pipeline,
        running.asking,
        session_secret=SECRET,
        public_url="http://127.0.0.1",
        open_access=True,
    )
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    with serving(routes) as url:

        def asked(path, **form):
            data = urllib.parse.urlencode(form).encode() if form else None
            with opener.open(f"{url.removesuffix('/api')}/default{path}", data, timeout=30) as answer:
                return answer.read().decode()

        yield asked


def test_a_reload_is_ended_on_the_page_of_its_own_warehouse_only(running, page):
    mine, theirs = (
        running.control.warehouses.create(running.workspace.id, "embedded", name=name).id for name in ("Mine", "Theirs")
    )
    made = running.api("POST", f"/warehouses/{theirs}/reloads", {})["reload"]["id"]
    csrf = re.search(r'name="csrf" value="([^"]+)"', page(f"/warehouse/{mine}/reload")).group(1)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        page(f"/warehouse/{mine}/reload/{made}/cancel", csrf=csrf)
    assert running.api("GET", f"/warehouses/{theirs}/reloads/{made}")["reload"]["state"] != "cancelled"
    page(f"/warehouse/{theirs}/reload/{made}/cancel", csrf=csrf)
    assert running.api("GET", f"/warehouses/{theirs}/reloads/{made}")["reload"]["state"] == "cancelled"
