"""What to do about a dead letter, as one sentence for people."""

from __future__ import annotations

from typing import Final

_BY_STATUS: Final = {
    400: "The destination found the event malformed: compare the request with its documentation, then retry.",
    404: "Nothing answers at this address: correct it in the destination's settings, then retry.",
    405: "The address does not take this kind of request: correct it in the settings, then retry.",
    410: "The address was given up by its owner: set a new one, or disable the destination.",
    413: "The event is larger than the destination takes: send less with it, or discard it.",
    422: "The destination understood the event and refuses its content: read its answer, then retry or discard.",
    429: "The destination took too few events for the whole retry time: ask for a higher limit there, then retry.",
}


def advice(reason: str, status: int | None) -> str:
    """Return the next step for an event that was given up with this reason."""
    if status is None:
        return f"{reason} Retry once the cause is mended." if reason.endswith(".") else "Retry once it is mended."
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status < 400:  # noqa: PLR2004 - RFC 9110's class of redirects
        return "The destination redirects, which is not followed: set the final address in the settings, then retry."
    if status >= 500:  # noqa: PLR2004 - RFC 9110's class of server errors
        return "The destination failed for the whole retry time: check that it is up again, then retry."
    return "The destination refused the event: read its answer, then retry or discard."
