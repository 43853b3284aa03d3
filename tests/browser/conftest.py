"""Chromium, a visitor in it, and the pages it visits."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from website import Website

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"


def pytest_addoption(parser):
    parser.addoption("--screenshots", metavar="DIR", help="write a picture of every page into DIR")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def chromium():
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on PATH; tools/install-browser says how to get one")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


class Visitor:
    """One browser context on a website, and everything that went wrong in it."""

    def __init__(self, chromium, website: Website, token: str = "", **options):
        self.website = website
        self.context = chromium.new_context(base_url=website.url, **options)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=website.url)
        self.context.set_default_timeout(15_000)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        # A refused policy, a broken script, a dialog that an event's text opened: each fails the test.
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("console", self._hear)
        self.page.on("dialog", lambda dialog: (self.problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        if token:
            self.goto(f"/sign-in?token={token}")

    def _hear(self, message):
        # A page that is refused on purpose, and a server that is restarted, are told as failed loads.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(f"console: {message.text}")

    def goto(self, path):
        self.page.goto(path)
        return self.page

    def axe(self):
        self.page.evaluate(AXE.read_text("utf-8") + ";0")
        rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        found = self.page.evaluate("rules => axe.run(document, {runOnly: rules})", rules)
        return [f"{each['id']}: {node['html'][:160]}" for each in found["violations"] for node in each["nodes"]]


@pytest.fixture
def website(tmp_path) -> Iterator[Website]:
    site = Website(tmp_path)
    yield site
    site.close()


@pytest.fixture
def visitor(chromium, website):
    """Return a function that lets somebody in; at the end nothing may have gone wrong in any page."""
    visitors = []

    def enter(role: str = "owner", **options) -> Visitor:
        visitors.append(Visitor(chromium, website, website.token(role) if role else "", **options))
        return visitors[-1]

    yield enter
    problems = [problem for each in visitors for problem in each.problems]
    for each in visitors:
        each.context.close()
    assert problems == []


@pytest.fixture
def screenshots(request) -> Path | None:
    directory = request.config.getoption("--screenshots")
    return Path(directory) if directory else None
