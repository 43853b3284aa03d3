"""Spam complaints from a CSV file that somebody exported by hand: read whole and checked before anything is sent."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

FILE_BYTES_MAX: Final = 64 * 1024 * 1024  # ours: a million rows
_MISTAKES_MAX: Final = 10  # shown at once
_EMAIL_CHARS_MAX: Final = 254  # RFC 5321, a path without its angle brackets
_DELIMITERS: Final = ",;\t|"
_ID: Final = re.compile(r"[0-9]{1,18}")

# The API's member by what exports call the column, lower case, without blanks, - and _.
_COLUMNS: Final = {
    "email": "email",
    "emailaddress": "email",
    "contactid": "contactId",
    "subscriberid": "contactId",
    "campaignid": "campaignId",
    "at": "at",
    "date": "at",
    "time": "at",
    "datetime": "at",
    "timestamp": "at",
}


@dataclass(frozen=True)
class Complaints:
    """What a file holds.

    Attributes:
        rows: as the API takes them.
        lines: where each row begins in the file, from 1.
        unused: columns that mean nothing here.
    """

    rows: list[dict[str, str]]
    lines: list[int]
    unused: list[str]


def read(path: Path) -> Complaints:
    """Return the complaints of a file.

    Comma, semicolon, tab or bar between columns; UTF-8 or UTF-16, with or without byte order mark.

    Raises:
        ClickException: the file cannot be read, or rows are wrong: the first mistakes with their lines.
    """
    text = _text(path)
    if not text.strip():
        raise click.ClickException(f"{path.name} is empty; its first line names the columns: email,campaign_id,at")
    first = text.splitlines()[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=first.count), strict=True)
    try:
        columns, unused = _columns(next(reader), path.name)
        numbered = list(_rows(reader, columns))
    except csv.Error as error:
        raise click.ClickException(f"{path.name}, line {reader.line_num}: {error}") from None
    mistakes = [f"line {line}: {mistake}" for line, row in numbered if (mistake := _mistake(row))]
    if mistakes:
        shown = "\n  ".join(mistakes[:_MISTAKES_MAX])
        more = f"\n  and {len(mistakes) - _MISTAKES_MAX} more" if len(mistakes) > _MISTAKES_MAX else ""
        raise click.ClickException(f"{path.name} was not imported; mend these first:\n  {shown}{more}")
    if not numbered:
        raise click.ClickException(f"{path.name} has no rows below its first line.")
    return Complaints([row for _, row in numbered], [line for line, _ in numbered], unused)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise click.ClickException(f"{path.name} is larger than {FILE_BYTES_MAX // 2**20} MB; cut it in pieces.")
        raw = path.read_bytes()
    except OSError as error:
        raise click.ClickException(f"{path.name} cannot be read: {error.strerror}.") from None
    is_wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return raw.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise click.ClickException(f"{path.name}, line {line}: not UTF-8; save the file as “CSV UTF-8”.") from None


def _columns(heads: list[str], name: str) -> tuple[list[str | None], list[str]]:
    """Return the API's member of each column, None for one that is not used, and the names of those."""
    members = [_COLUMNS.get(re.sub(r"[\s_-]", "", head).lower()) for head in heads]
    for member in {each for each in members if each is not None}:
        if members.count(member) > 1:
            twice = [head.strip() for head, each in zip(heads, members, strict=True) if each == member]
            raise click.ClickException(f"{name}, line 1: the columns {' and '.join(twice)} say the same; keep one.")
    if not {"email", "contactId"} & set(members):
        raise click.ClickException(
            f"{name}, line 1: no column email or contact_id; the first line names the columns: email,campaign_id,at"
        )
    return members, [head.strip() for head, member in zip(heads, members, strict=True) if member is None]


def _rows(reader: Any, columns: list[str | None]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line where each row begins, and the row; blank lines are left out."""
    line = reader.line_num + 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            pairs = zip(columns, cells, strict=False)
            row = {member: cell.strip() for member, cell in pairs if member is not None and cell.strip()}
            yield line, row
        line = reader.line_num + 1


def _mistake(row: dict[str, str]) -> str:
    """Return what is wrong with a row, "" when nothing is; never a part of the row, it is about a person."""
    email, contact, campaign, at = (row.get(name, "") for name in ("email", "contactId", "campaignId", "at"))
    if not email and not contact:
        return "neither e-mail nor contact id"
    if email and (not re.fullmatch(r"[^@\s]+@[^@\s]+", email) or len(email) > _EMAIL_CHARS_MAX):
        return "this is no e-mail address"
    if contact and not _ID.fullmatch(contact):
        return "the contact id is no whole number"
    if campaign and not _ID.fullmatch(campaign):
        return "the campaign id is no whole number"
    return "" if not at or _is_time(at) else "this is no time; write 2026-01-31 or 2026-01-31T08:00:00Z"


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
