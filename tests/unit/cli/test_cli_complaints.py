"""Exports of complaints come from spreadsheets: any delimiter, any mark in front, and mistakes told by line."""

import contextlib

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.cli.complaints import read


@pytest.fixture
def file(tmp_path):
    def written(content, name="complaints.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


ROW = {"email": "ada@example.org", "campaignId": "7", "at": "2026-01-31"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_spreadsheets_way_of_writing_is_read(file, delimiter, end, encoding):
    lines = (("email", "campaign_id", "at"), ("ada@example.org", "7", "2026-01-31"), ("", "", ""))
    text = end.join(delimiter.join(line) for line in lines) + end
    found = read(file(text.encode(encoding)))
    assert (found.rows, found.lines, found.unused) == ([ROW], [2], [])


@pytest.mark.parametrize("head", ["E-Mail", " EMAIL ", "Email Address", "e_mail", '"email"'])
def test_a_column_is_known_however_it_is_spelled(file, head):
    found = read(file(f"{head},Contact ID,Reason\nada@example.org,17,Abuse\n"))
    assert found.rows == [{"email": "ada@example.org", "contactId": "17"}]
    assert found.unused == ["Reason"]


def test_quoted_cells_with_delimiters_and_line_breaks_keep_their_lines(file):
    found = read(file('reason,email\n"one,\ntwo",ada@example.org\n\n"x",bob@example.org\n'))
    assert [row["email"] for row in found.rows] == ["ada@example.org", "bob@example.org"]
    assert found.lines == [2, 5]


def test_a_row_with_fewer_or_more_cells_is_read_as_far_as_its_columns_go(file):
    found = read(file("email,at\nada@example.org\nbob@example.org,2026-01-31,more\n"))
    assert found.rows == [{"email": "ada@example.org"}, {"email": "bob@example.org", "at": "2026-01-31"}]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("email\n", "no rows"),
        ("name,at\nx,y\n", "no column email or contact_id"),
        ("email,E-Mail\na@b,c@d\n", "say the same"),
        ('email\n"ada@example.org\n', "line 2"),
        (b"email\nada@example.org\n\xff\xfe\n", "line 3: not UTF-8"),
        ("email,at\nada@example.org,31.01.2026\n", "line 2: this is no time"),
        ("email,contact_id\n,\nx,\n,y\n", "line 3: this is no e-mail address\n  line 4: the contact id"),
        ("contact_id,campaign_id\n,7\n17,spring\n", "line 2: neither e-mail nor contact id\n  line 3: the campaign id"),
    ],
)
def test_what_is_wrong_is_told_by_line(file, content, told):
    with pytest.raises(click.ClickException) as refused:
        read(file(content))
    assert told in refused.value.message


def test_only_the_first_mistakes_are_shown_and_none_shows_whom_it_is_about(file):
    rows = "".join(f"secret-person-{number}\n" for number in range(25))
    with pytest.raises(click.ClickException) as refused:
        read(file(f"email\n{rows}"))
    assert refused.value.message.count("line ") == 10
    assert "and 15 more" in refused.value.message
    assert "secret-person" not in refused.value.message


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(click.ClickException, match="cannot be read"):
        read(tmp_path / "nothing.csv")


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_no_file_breaks_the_reader(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    with contextlib.suppress(click.ClickException):  # and nothing else
        found = read(path)
        assert len(found.rows) == len(found.lines) > 0
