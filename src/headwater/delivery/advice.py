"""What to do about an event that was given up or kept out, as one sentence for people."""

from __future__ import annotations

from typing import Final

_BY_STATUS: Final = {
    400: "The destination found the event malformed: compare the request with its documentation, then retry.",
    401: "The destination refuses the credentials: enter new ones in its settings, then retry.",
    403: "The credentials may not do this: give them the right at the destination, or enter others, then retry.",
    404: "Nothing answers at this address: correct it in the destination's settings, then retry.",
    405: "The address does not take this kind of request: correct it in the settings, then retry.",
    409: "The destination holds something that contradicts the event: read its answer, then retry or discard.",
    410: "The address was given up by its owner: set a new one, or disable the destination.",
    413: "The event is larger than the destination takes: send less with it, or discard it.",
    422: "The destination understood the event and refuses its content: read its answer, then retry or discard.",
    429: "The destination took too few events for the whole retry time: ask for a higher limit there, then retry.",
}

_BY_CODE: Final = {
    "FILTERED_BY_INTEGRATIONS_OBJECT": "The event's `integrations` excludes this destination: change it at its sender.",
    "UNSUPPORTED_EVENT_TYPE": "The destination does not take this kind of call; there is nothing to do.",
    "DESTINATION_DISABLED": "The destination was disabled: enable it, then replay.",
    "SUPPRESSED": "The person is suppressed: nothing of them is handed on until that is ended.",
    "ERASED": "The event was erased for a person's sake, or for its age; there is nothing to do.",
    "FILTERED_BY_RULES": "A filter keeps the event out: change the destination's filters if it should arrive.",
    "NO_MATCHING_MAPPING": "No mapping's trigger is true for the event: change a trigger, or add a mapping.",
    "FILTERED_AT_MAPPING": "The event lacks what the mapping requires: send it, or do not require it.",
    "FILTERED_BY_FUNCTION": "A function dropped the event: change its code if it should arrive.",
    "UNSUPPORTED_BY_FUNCTION": "The function has no handler for this call: add one, or leave it.",
}

_BY_WORDS: Final = (
    ("name was not found", "Compare the host name in the settings and look whether its DNS entry stands, then retry."),
    ("name is not found", "Compare the host name in the settings and look whether its DNS entry stands, then retry."),
    ("name has no address", "Compare the host name in the settings and look whether its DNS entry stands, then retry."),
    ("The host has an address", "Set the name of a host that the whole internet can reach, then retry."),
    ("connection was cut", "Look whether a firewall or proxy cuts long calls; if it goes on, ask the destination."),
    ("cannot be reached from here", "Let the operator allow its network, then retry."),
    ("certificate", "Have the certificate renewed or corrected at the destination, then retry."),
    ("TLS", "Look at the destination's certificate and TLS versions, then retry."),
    ("refused or unreachable", "Look whether the service is up and its firewall lets this server through, then retry."),
    ("No whole answer within", "The destination was too slow: look how it does, or send fewer events at a time."),
    ("No outcome within", "The destination was too slow: look how it does, or send fewer events at a time."),
    ("answer is no valid HTTP", "Look whether the address is that of a web service, then retry."),
    ("Headwater stopped", "Headwater was stopped meanwhile: retry."),
    ("own code failed", "This is a fault of Headwater: report it with the request, then retry once it is mended."),
    ("The function", "Correct the function's code, try it with this event, then retry."),
    ("Functions cannot run", "Start Headwater with functions, then retry."),
    ("The mapping", "Correct the mapping, preview it with this event, then retry."),
    ("internal or reserved", "Set a public address, or let the operator allow the network, then retry."),
    ("The URL", "Correct the address in the destination's settings, then retry."),
    ("Plain http", "Set an address that begins with https://, then retry."),
    ("Port ", "Set an address with another port, then retry."),
    ("header holds a line break", "Remove the line break in the destination's settings, then retry."),
)
_OTHERWISE: Final = "Read the reason, mend the cause, then retry or discard."


def advice(reason: str, status: int | None) -> str:
    """Return the next step for an event with this reason, and the HTTP status of the answer if there was one."""
    if status is None:
        return _BY_CODE.get(reason) or next((told for words, told in _BY_WORDS if words in reason), _OTHERWISE)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 200 <= status < 300:  # noqa: PLR2004 - RFC 9110's class of success
        return "The destination answered well and refused this event within its answer: read it, then retry or discard."
    if 300 <= status < 400:  # noqa: PLR2004 - RFC 9110's class of redirects
        return "The destination redirects, which is not followed: set the final address in the settings, then retry."
    if status >= 500:  # noqa: PLR2004 - RFC 9110's class of server errors
        return "The destination failed for the whole retry time: check that it is up again, then retry."
    return "The destination refused the event: read its answer, then retry or discard."
