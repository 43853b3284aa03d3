"""E-mail by the operator's SMTP server: alerts, invitations.

Source: RFC 8314 (TLS from the first byte on port 465, STARTTLS on 587), RFC 5321.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Final
from urllib.parse import unquote, urlsplit

from headwater.errors import ConfigError, DeliveryError, RetryableError

ADDRESS: Final = re.compile(r"[^\s@<>,;\"\\()\[\]:\x00-\x1f\x7f]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_PORTS: Final = {"smtp": 587, "smtps": 465}
_DEADLINE_S: Final = 20.0
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_REFUSED_FOR_GOOD: Final = 500
_BLANKS: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed in.

    Attributes:
        is_tls: from the first byte; else STARTTLS is demanded, except on this machine.
        sender: the address that mail comes from.
    """

    host: str
    port: int
    is_tls: bool
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)


def server(url: str, sender: str = "") -> Server:
    """Return the server that an address names: `smtps://user:password@mail.example.com`, `smtp://localhost:25`.

    Args:
        url: with user and password percent-encoded where they need it.
        sender: "" is the user where that is an address, else `headwater@` and the host.

    Raises:
        ConfigError: it is no such address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise ConfigError(_HOW) from None
    if not parts.hostname or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ConfigError(_HOW)
    user = unquote(parts.username or "")
    chosen = sender or (user if ADDRESS.fullmatch(user) else f"headwater@{parts.hostname}")
    if sender and not ADDRESS.fullmatch(sender):
        raise ConfigError("MAIL_FROM is an address such as headwater@example.com.")
    return Server(parts.hostname, port, parts.scheme == "smtps", chosen, user, unquote(parts.password or ""))


_HOW: Final = "SMTP_URL is an address such as smtps://user:password@mail.example.com or smtp://localhost:25."


class Mailer:
    """Sends plain text; every call opens a connection of its own and blocks: run it in a thread."""

    def __init__(self, at: Server, tls: ssl.SSLContext | None = None) -> None:
        self._at, self._tls = at, tls or ssl.create_default_context()

    def send(self, recipients: Sequence[str], subject: str, text: str) -> None:
        """Hand one message in.

        Raises:
            RetryableError: the server does not answer, or asks to come later.
            DeliveryError: it refuses the message for good.
        """
        message = EmailMessage()
        message["From"], message["To"] = self._at.sender, ", ".join(recipients)
        message["Subject"] = _BLANKS.sub(" ", subject)[:200]
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=self._at.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers it
        message.set_content(text)
        try:
            with self._connected() as smtp:
                if self._at.user:
                    smtp.login(self._at.user, self._at.password)
                smtp.send_message(message, self._at.sender, list(recipients))
        except smtplib.SMTPAuthenticationError:
            raise DeliveryError("The mail server refuses user or password; correct SMTP_URL.") from None
        except smtplib.SMTPNotSupportedError as error:
            raise DeliveryError(f"The mail server cannot do what is needed: {error}") from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise _refusal(max(codes), "The mail server refuses every recipient") from None
        except smtplib.SMTPResponseException as error:
            raise _refusal(error.smtp_code, "The mail server refuses the message") from None
        except (smtplib.SMTPException, ssl.SSLError, OSError) as error:
            raise RetryableError(f"The mail server does not answer ({type(error).__name__}).") from None

    def _connected(self) -> smtplib.SMTP:
        at = self._at
        if at.is_tls:
            return smtplib.SMTP_SSL(at.host, at.port, timeout=_DEADLINE_S, context=self._tls)
        smtp = smtplib.SMTP(at.host, at.port, timeout=_DEADLINE_S)
        smtp.ehlo()
        if smtp.has_extn("starttls"):
            smtp.starttls(context=self._tls)
        elif at.host not in _LOOPBACK:  # nothing personal goes over a network in the clear
            smtp.close()
            raise smtplib.SMTPNotSupportedError("it offers no STARTTLS; use smtps:// or another server.")
        return smtp


def _refusal(code: int, told: str) -> DeliveryError | RetryableError:
    if code >= _REFUSED_FOR_GOOD:
        return DeliveryError(f"{told} ({code}).")
    return RetryableError(f"{told} for now ({code}).")
