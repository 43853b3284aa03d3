"""The tables of privacy. None keeps an identifier in plain: hashes for good, sealed ones while they are needed."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from headwater.control.schema import ID, UNAUDITED, metadata, parent

suppressions = Table(
    "suppressions",
    metadata,
    # Grows with each change, also of one that ends a suppression: who follows the list reads on from there.
    Column("number", Integer, primary_key=True, autoincrement=True),
    parent("workspaces"),
    Column("scope", String(32), nullable=False),  # a workspace or a source
    Column("kind", String(16), nullable=False),
    Column("digest", String(32), nullable=False),
    Column("because", String(32), nullable=False),  # the hash of the identifier that was named; its own or a linked one
    Column("regulation_id", ID, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("is_ended", Boolean, nullable=False),  # marks that others ended: the list is to be read anew
    UniqueConstraint("scope", "digest", "because", "is_ended"),
    info={"noun": "suppression", **UNAUDITED},
    sqlite_autoincrement=True,
)
deleted_sources = Table(
    "deleted_sources",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    Column("slug", String(63), nullable=False),
    Column("schema_name", String(63), nullable=False),
    # The log and warehouses go on holding what it sent: whose that is, nothing else tells any more.
    info={"noun": "source", **UNAUDITED},
)
regulations = Table(
    "regulations",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    Column("type", String(40), nullable=False),
    Column("subject_type", String(16), nullable=False),
    Column("source_id", ID),
    Column("collection", String(200)),
    Column("count", Integer, nullable=False),
    Column("follows_links", Boolean, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("begins_at", String(40), nullable=False),
    info={"noun": "regulation"},
)
regulation_work = Table(
    "regulation_work",
    metadata,
    Column("regulation_id", ID, ForeignKey("regulations.id", ondelete="CASCADE"), primary_key=True),
    Column("status", String(20), nullable=False, index=True),
    Column("subjects", Text),  # sealed; gone once it is finished
    Column("digests", Text, nullable=False),  # JSON: of all identifiers, for a backup that is restored
    Column("reason", Text, nullable=False, server_default=""),
    Column("finished_at", String(40)),
    Column("receipt", Text, nullable=False, server_default="{}"),
    info={"noun": "regulation", **UNAUDITED},
)
