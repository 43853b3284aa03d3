"""One session with the server: every statement, lock and wait in it has a bound, on both sides.

Source: PostgreSQL documentation, libpq (parameter key words) and client connection defaults.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from headwater.errors import ConfigError, DeliveryError, RetryableError
from headwater.limits import CONNECT_DEADLINE_S
from headwater.warehouses.postgres.meaning import raised
from headwater.warehouses.postgres.settings import Settings, authority

_NO_FILE: Final = f"{os.devnull}/none"  # cannot be there; libpq warns on stderr of one that is no plain file
_GRACE_S: Final = 10.0  # ours: what the server gets beyond its own time-out before we hang up
_ADDRESSES_MAX: Final = 4  # ours: a connection is tried at these one after the other

# Those of them that the server knows are set. The server notices within seconds that we are gone, in a statement
# (client_connection_check_interval) and between two (tcp_*), and lets go of our locks.
_SESSION: Final[Mapping[str, str]] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "standard_conforming_strings": "on",
    "search_path": "pg_catalog",  # every name is qualified: nobody else's function or operator is meant
    "client_connection_check_interval": "1s",
    "idle_in_transaction_session_timeout": "120s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60s",
}


def driver() -> Any:
    """Return psycopg.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import psycopg  # noqa: PLC0415 - an optional driver
    except ImportError as error:
        raise ConfigError("This warehouse needs a driver: pip install 'headwater[postgres]'.") from error
    return psycopg


def connect(settings: Settings, home: Path, user: str, password: str) -> Any:
    """Return an open connection in which each statement is a transaction of its own unless one is begun.

    What the operator has in files or sockets of their own (passwords, services, client certificates) is not used.

    Raises:
        UnauthorizedError, RetryableError, DeliveryError: why not, as a sentence for people.
    """
    psycopg = driver()
    host = settings.host.removeprefix("[").removesuffix("]")
    addresses = _addresses(host, settings.port)
    try:
        connection = psycopg.connect(
            host=",".join([host] * len(addresses)),
            hostaddr=",".join(addresses),
            port=settings.port,
            dbname=settings.database,
            user=user,
            password=password,
            passfile=_NO_FILE,
            options="",
            sslmode=settings.sslmode,
            sslcertmode="disable",
            gssencmode="disable",
            client_encoding="utf8",
            connect_timeout=int(CONNECT_DEADLINE_S),
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            tcp_user_timeout=60_000,
            application_name="headwater",
            autocommit=True,
            prepare_threshold=None,
            **authority(settings, home),
        )
    except psycopg.Error as error:
        raise raised(error) from error
    except OSError as error:
        raise RetryableError(f"The CA's certificate could not be stored: {error.strerror}.") from error
    try:
        bound(connection, _SESSION)
    except psycopg.Error as error:
        connection.close()
        raise raised(error) from error
    return connection


def bound(connection: Any, values: Mapping[str, str]) -> None:
    """Set run-time parameters of a session, those that this server knows."""
    marks = ", ".join(["(%s, %s)"] * len(values))
    connection.execute(
        f"select set_config(s.name, wanted.value, false) from (values {marks}) as wanted(name, value) "
        "join pg_catalog.pg_settings s on lower(s.name) = lower(wanted.name)",
        [text for pair in values.items() for text in pair],
    )


@contextmanager
def within(connection: Any, seconds: float, lock_s: float) -> Iterator[None]:
    """Let statements take so long, and wait so long for a lock; a server that stopped answering is hung up on.

    Raises:
        DeliveryError: the connection is gone.
    """
    psycopg = driver()
    timer = threading.Timer(seconds + _GRACE_S, hang_up, [connection])
    timer.daemon = True
    timer.start()
    try:
        bound(connection, {"statement_timeout": f"{round(seconds * 1000)}", "lock_timeout": f"{round(lock_s * 1000)}"})
        yield
    except psycopg.Error as error:
        raise raised(error) from error
    finally:
        timer.cancel()


def hang_up(connection: Any) -> None:
    """End a connection that another thread waits for; that thread gets an error."""
    with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as other:
        other.shutdown(socket.SHUT_RDWR)


def _addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host; asked here, so that no name can mean a socket file.

    Raises:
        RetryableError: it has none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RetryableError("The host's name is not known; compare its spelling.") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses:
        raise DeliveryError("The host has no address; compare its spelling.")
    return addresses[:_ADDRESSES_MAX]
