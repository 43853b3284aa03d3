"""Complaints that somebody exported by hand: all of them or none, and nothing of them in a message."""

from datetime import UTC, datetime

import pytest

from headwater.errors import InvalidRequestError
from headwater.sources.activecampaign.connection.complaints import COMPLAINTS_MAX, checked, records
from headwater.sources.activecampaign.records import (
    ROWS_MAX,
    CampaignNote,
    Person,
    Report,
    ReportRecord,
    Row,
    decode,
    encode,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_rows_become_records_by_campaign():
    rows = [
        {"email": " ada@example.org ", "campaignId": "8", "at": "2026-01-31"},
        {"contactId": "17"},
        {"contactId": "18", "email": "bob@example.org", "campaignId": "8", "at": "2026-01-31T08:00:00Z"},
    ]
    note = CampaignNote(id="8", name="Spring")
    people = {"17": Person("u17", "account"), "ada@example.org": Person("u1", "identify"), "99": Person()}
    found = list(records(checked(rows, NOW), {"8": note}, people))
    assert found == [
        ReportRecord(
            Report.COMPLAINTS,
            note,
            (
                Row(email="ada@example.org", at="2026-01-31"),
                Row(contact_id="18", email="bob@example.org", at="2026-01-31T08:00:00Z"),
            ),
            run="import",
            people={"ada@example.org": Person("u1", "identify")},
        ),
        ReportRecord(
            Report.COMPLAINTS,
            CampaignNote(),
            (Row(contact_id="17"),),
            run="import",
            people={"17": Person("u17", "account")},
        ),
    ]
    assert [decode(encode(record)) for record in found] == found


def test_records_are_bounded():
    rows = checked([{"contactId": str(number)} for number in range(1, 2 * ROWS_MAX + 2)], NOW)
    assert [len(record.rows) for record in records(rows, {}, {})] == [ROWS_MAX, ROWS_MAX, 1]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, "neither"),
        ({"email": "  ", "contactId": ""}, "neither"),
        ({"email": "secret.person"}, "email"),
        ({"email": "a b@example.org"}, "email"),
        ({"contactId": "secret-1"}, "contactId"),
        ({"contactId": "1", "campaignId": "secret"}, "campaignId"),
        ({"contactId": "1", "at": "secret"}, "at is no time"),
        ({"contactId": "1", "at": "2026-13-01"}, "at is no time"),
    ],
)
def test_a_bad_row_is_refused_with_its_number_and_nothing_of_it(row, words):
    with pytest.raises(InvalidRequestError, match=f"^Row 2: .*{words}") as refusal:
        checked([{"contactId": "1"}, row], NOW)
    assert refusal.value.field == "rows"
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("rows", [[], [{"contactId": "1"}] * (COMPLAINTS_MAX + 1)], ids=["none", "too many"])
def test_an_import_is_bounded(rows):
    with pytest.raises(InvalidRequestError):
        checked(rows, NOW)
