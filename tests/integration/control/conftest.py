"""Fixtures: control planes that run."""

import http.cookiejar
import urllib.parse
import urllib.request
from datetime import UTC, datetime

import pytest
from plane import SECRET, serving, starting

from headwater.control.live import Live
from headwater.eventlog.contract import Topic
from headwater.web import app as pages


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
        alerts=running.alerts,
        seen=running.seen,
    )
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    with serving(routes) as url:

        def asked(path, **form):
            data = urllib.parse.urlencode(form).encode() if form else None
            with opener.open(f"{url.removesuffix('/api')}/default{path}", data, timeout=30) as answer:
                return answer.read().decode()

        yield asked
