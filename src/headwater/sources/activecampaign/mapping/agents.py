"""Tell machines from people by the `User-Agent` of an open or click. Machines are flagged, never dropped."""

from __future__ import annotations

import re
from typing import Final

APPLE_PRIVACY: Final = "apple_mail_privacy"
SECURITY_SCANNER: Final = "security_scanner"
AUTOMATED_CLIENT: Final = "automated_client"

_CHARS_MAX: Final = 2_000  # ours: what tells a machine stands at the front

# Apple's proxy sends these words and nothing more. Gmail's and Yahoo's image proxies fetch when a person opens, so
# they are no machines here.
_APPLE: Final = "Mozilla/5.0"
_SCANNERS: Final = re.compile(
    r"barracuda|proofpoint|mimecast|messagelabs|symantec|cloudmark|fireeye|trellix|trend ?micro|sophos|safelinks"
    r"|forcepoint|ironport|fortinet|zscaler|bitdefender|avanan|microsoft office existence discovery",
    re.IGNORECASE,
)
_CLIENTS: Final = re.compile(
    r"^(?:curl|wget|python|go-http-client|java|okhttp|libwww-perl|ruby|axios|node|undici|php|guzzle)[\w.-]*(?:/|$)"
    r"|headless|phantomjs|puppeteer|playwright|selenium|(?:(?<!cu)bot|crawler|spider)\b",  # Cubot makes telephones
    re.IGNORECASE,
)


def machine_reason(user_agent: str) -> str:
    """Return why this looks like a machine, "" when it does not."""
    user_agent = user_agent[:_CHARS_MAX]
    if user_agent == _APPLE:
        return APPLE_PRIVACY
    if _SCANNERS.search(user_agent):
        return SECURITY_SCANNER
    return AUTOMATED_CLIENT if _CLIENTS.search(user_agent) else ""
