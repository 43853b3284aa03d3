"""What the commands of delivery say: on their page, in a line, and about what was typed."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater import cli
from headwater.cli import figures, filters, inputs, replays, tries
from headwater.cli.times import TIME
from headwater.delivery import samples

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "delivery-commands.md").read_text()
GROUPS = ("destinations", "filters", "mappings", "functions", "replay", "replays", "dead-letters")


def commands():
    """Yield (words of the command line, command) for each of delivery."""
    for name in GROUPS:
        command = cli.root.get_command(None, name)
        group = getattr(command, "commands", None)
        yield from (
            [(f"headwater {name}", command)]
            if group is None
            else ((f"headwater {name} {each}", body) for each, body in group.items())
        )


@pytest.mark.parametrize(("words", "command"), list(commands()))
def test_a_command_is_on_its_page_shows_an_example_and_prints_json(words, command):
    assert "--json" in [name for parameter in command.params for name in parameter.opts]
    assert re.search(rf"^\| `{words}[ `]", PAGE, re.MULTILINE)
    assert f"Example:\n  {words}" in re.sub(r"\n +headwater", "\n  headwater", command.help.replace("\b", ""))


def test_the_page_has_no_command_that_is_not_there():
    known = {words for words, _ in commands()}
    for words in re.findall(r"^\| `(headwater [a-z-]+(?: [a-z]+)?)", PAGE, re.MULTILINE):
        assert words in known, words


def test_every_option_on_the_page_is_one():
    known = {option for _, command in commands() for each in command.params for option in each.opts}
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= known


def test_the_samples_are_those_of_the_server():
    assert tuple(samples.SAMPLES) == inputs.SAMPLES


def test_a_command_loads_nothing_of_the_server():
    loaded = "import sys; from headwater.cli import root; root.get_command(None, 'functions'); print(*sys.modules)"
    modules = set(subprocess.check_output([sys.executable, "-c", loaded], text=True).split())
    assert not modules & {"msgspec", "sqlalchemy", "aiohttp", "duckdb", "headwater.delivery", "headwater.control"}


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ({"type": "DROP"}, "drop"),
        ({"type": "SAMPLE", "percent": 0.1}, "sample 10%"),
        ({"type": "SAMPLE", "percent": 0.125, "path": "userId"}, "sample 12.5% by userId"),
        ({"type": "SAMPLE", "percent": 0}, "sample 0%"),
        ({"type": "DROP_PROPERTIES", "fields": {"properties": ["a", "b.c"]}}, "drop properties.a, properties.b.c"),
        ({"type": "ALLOW_PROPERTIES", "fields": {"traits": ["a"], "context": []}}, "allow traits.a"),
    ],
)
def test_what_a_filter_does_is_told(action, told):
    assert filters.told(action) == told


def converted(text):
    return TIME.convert(text, None, None)


@given(st.integers(1, 999_999), st.sampled_from("mhd"))
def test_how_long_ago_is_an_instant_in_the_past(number, unit):
    span = number * {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}[unit]
    if span > datetime.now(UTC) - datetime(2, 1, 1, tzinfo=UTC):
        with pytest.raises(click.BadParameter, match="is no time"):
            converted(f"{number}{unit}")
        return
    before = datetime.now(UTC)
    found = datetime.fromisoformat(converted(f"{number}{unit}"))
    assert before - span - timedelta(seconds=1) <= found <= datetime.now(UTC) - span


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2037, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants bounds without zone
def test_an_instant_stays_the_same(moment):
    assert datetime.fromisoformat(converted(moment.isoformat())) == moment


def test_a_time_without_zone_is_of_this_machine():
    assert datetime.fromisoformat(converted("2026-01-31")) == datetime(2026, 1, 31).astimezone()


@pytest.mark.parametrize("text", ["", "lately", "2", "h", "-1h", "1 h", "2026-13-01", "99999999d"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(click.BadParameter, match="is no time"):
        converted(text)


TOTALS = {"received": 1_234, "filtered": {}, "deliveredFirstTry": 1_200, "deliveredOnRetry": 30, "retried": 40}
TOTALS |= {"failed": 4, "discarded": 0, "p50S": None, "p95S": None, "p99S": None}


def test_totals_are_one_line():
    counts = "1,234 received, 0 filtered, 1,200 first try, 30 on retry, 40 retried, 4 failed, 0 discarded."
    assert figures.sentence(TOTALS) == counts
    filtered = {"filtered": {"A": 2, "B": 1}, "p50S": 0.25}
    assert figures.sentence(TOTALS | filtered) == (
        counts.replace("0 filtered", "3 filtered (A 2, B 1)") + " p50 0.25 s from receipt to delivery."
    )


def replay(**more):
    run = {"state": "running", "total": 2_000, "passed": 1_000, "selected": 9, "delivered": 8, "retrying": 0, "dead": 0}
    return run | {"etaS": None} | more


HALF = "[############............]  1,000/2,000 records  9 chosen  8 delivered"


@pytest.mark.parametrize(
    ("run", "line"),
    [
        (replay(), HALF),
        (replay(etaS=30.2, dead=1), f"{HALF}  1 dead  30 s left"),
        (replay(state="waiting", etaS=9.0, retrying=2), f"{HALF}  2 retrying  waiting"),
        (replay(state="cancelled"), f"{HALF}  cancelled"),
        (replay(total=0, passed=0), HALF.replace("#", ".").replace("1,000/2,000", "0/0")),
    ],
)
def test_a_line_tells_how_far_a_replay_is(run, line):
    assert replays.described(run) == line


def test_nothing_of_an_answer_reaches_the_terminal_as_a_command(capsys):
    exchange = {"method": "POST", "url": "https://a/", "request": '{"a": "\x9b"}', "status": None, "durationMs": 3}
    tried = {"outcome": "retry", "reason": "", "sent": None, "exchanges": [exchange | {"answer": "x\x1b[2J\r\ny"}]}
    tries.show(tried)
    assert capsys.readouterr().out.splitlines() == [
        "POST https://a/",
        "  {",
        '    "a": "\\x9b"',
        "  }",
        "no answer after 3 ms",
        "  x\\x1b[2J",
        "  y",
        "",
        "Not delivered; it would be tried again later.",
    ]


def test_without_a_request_what_was_given_is_shown(capsys):
    tried = {"outcome": "delivered", "reason": "", "sent": {"type": "track"}, "exchanges": [], "advice": ""}
    tries.show(tried)
    assert capsys.readouterr().out == 'What the destination was given\n  {\n    "type": "track"\n  }\n\nDelivered.\n'


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"\xff", "UTF-8"), (b"{\n]", "line 2"), (b"[]", "no object"), (b"x" * 1_000_001, "1,000,000"), (None, "read")],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, told):
    path = tmp_path / "event.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(click.UsageError, match=told) as refused:
        inputs.document(str(path), "--event")
    assert refused.value.message.startswith("--event: ")
