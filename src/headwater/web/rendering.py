"""Templates and what every answer carries: the security headers, the vendored assets, the icons."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from headwater.clock import Clock
from headwater.web import charts, phrases

_HERE: Final = Path(__file__).parent
_STATIC: Final = _HERE / "static"

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Renderer:
    """Renders templates: everything is escaped, an unknown name is an error."""

    def __init__(self, clock: Clock) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters.update(
            count=phrases.count,
            iso=phrases.iso,
            utc=phrases.utc,
            lasting=phrases.lasting,
            initials=phrases.initials,
            masked=phrases.masked,
            role=phrases.role,
            coded=_coded,
            schedule=phrases.schedule,
            compact=charts.compact,
        )
        icons = _icons()
        static = f"/static/{_digest()}"
        self._environment.globals.update(
            icon=icons.__getitem__,
            static=lambda path: f"{static}/{path}",
            plural=phrases.plural,
            ago=lambda moment: phrases.ago(moment, clock()),
        )

    def page(self, template: str, values: Mapping[str, Any], *, status: int = 200) -> Response:
        """Return a page with every security header."""
        return HTMLResponse(self._environment.get_template(template).render(values), status, HEADERS)


def _coded(text: str) -> Markup:
    """Return a text of ours with what stands in backticks as code; all of it is escaped first."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped on this line


def _icons() -> dict[str, Markup]:
    """Return the vendored Lucide icons as inline SVG, hidden from screen readers: a word stands beside each."""
    found = {}
    for file in sorted((_STATIC / "vendor" / "lucide").glob("*.svg")):
        inner = re.sub(r"^.*?<svg.*?>|</svg>\s*$", "", file.read_text("utf-8"), flags=re.DOTALL)
        lines = "".join(line.strip() for line in inner.splitlines())
        # Vendored and checksummed, never a visitor's text.
        found[file.stem] = Markup(  # noqa: S704
            '<svg class="icon" viewBox="0 0 24 24" width="24" height="24" fill="none" stroke="currentColor" '
            f'stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{lines}</svg>'
        )
    return found


def _digest() -> str:
    """Return a name for the present set of assets: addresses that hold it may be cached for ever."""
    digest = hashlib.sha256()
    for file in sorted(path for path in _STATIC.rglob("*") if path.is_file()):
        digest.update(file.relative_to(_STATIC).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


class Assets:
    """Serves `/static/{digest}/{path}` from the package; nothing is fetched from elsewhere at run time."""

    def __init__(self) -> None:
        self._files = StaticFiles(directory=_STATIC)
        self._digest = _digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the file and with how long it may be kept."""
        digest, _, path = scope["path_params"]["path"].partition("/")
        lasting = "public, max-age=31536000, immutable" if digest == self._digest else "no-cache"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update({**HEADERS, "cache-control": lasting})
            await send(message)

        inner = {**scope, "path": f"/{path}", "root_path": ""}
        await self._files(inner, receive, send_with_headers)
