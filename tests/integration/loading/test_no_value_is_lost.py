"""Under the default rules every value of an event can be read back, however strange it is and wherever batches end."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headwater.loading.rules import SEGMENT, Conflicts, Rules
from headwater.loading.staging import Staging
from headwater.loading.tables import body_column, context_column
from loaded_tables import Tables, event

SETTINGS = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None)

# What is done with a value that does not fit, and whether the engine can.
WAYS = {
    "widen": (Conflicts.WIDEN, True),
    "cannot widen": (Conflicts.WIDEN, False),
    "overflow": (Conflicts.OVERFLOW, True),
}


@pytest.fixture(scope="module")
def staging(tmp_path_factory):
    made = Staging(tmp_path_factory.mktemp("staging"))
    yield made
    made.close()


keys = st.one_of(
    st.sampled_from(["a", "A", "b", "a b", "ab", "user_id", "order", "1st", "é", "context_x", "", "a\0b", "x" * 70]),
    st.text(st.characters(codec="utf-8"), max_size=6),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02 03:04:05+05:30", "2026-01-02", "0999-01-02T03:04:05Z"]),
    st.sampled_from(["5", "5.0", "-0", "007", "+49", "1e5", "true", "TRUE", "NaN", "infinity", "null", "{}", "[]"]),
    st.sampled_from(["\0", "\u2028", '"', "x" * 600]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=8,
)
documents = st.dictionaries(keys, values, max_size=5)
histories = st.lists(st.tuples(documents, documents), min_size=1, max_size=6)


def leaves(value, *path):
    """Yield (path, value) of everything that is neither null nor an object; an array is one value."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from leaves(member, *path, key)
    elif value is not None:
        yield path, value


def is_same(sent, kept):
    """Whether a cell says what was sent; a column may spell it in its own way, as text or as a number."""
    if kept is None:
        return False
    if isinstance(kept, datetime):
        return isinstance(sent, str) and moment(sent) == kept
    if isinstance(sent, list):
        return isinstance(kept, str) and json.loads(kept) == sent
    if isinstance(sent, str) and isinstance(kept, str):
        return sent == kept or number(sent) == number(kept) != [] or moment(sent) == moment(kept) is not None
    if isinstance(sent, bool) or isinstance(kept, bool):
        return str(sent).lower() == str(kept).lower()
    return number(str(sent)) == number(str(kept)) != []


def number(text):
    """Return what a number is as JSON reads it, [] for what is none; integers keep all their digits."""
    try:
        read = json.loads(text)
    except ValueError:
        return []
    return [read] if isinstance(read, int | float) and not isinstance(read, bool) else []


def moment(text):
    """Return when a text is, None for what is no time."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read


def missing(row, sent, label, name_of):
    """Return what of a document is neither in a column nor in `_overflow`."""
    kept = json.loads(row.get("_overflow", "{}"))
    if label in kept:
        return [] if kept[label] == sent else [kept[label], sent]
    return [
        (path, value)
        for path, value in leaves(sent)
        if kept.get(".".join((label, *path))) != value and not is_same(value, row.get(name_of(path)))
    ]


def load(staging, history, cuts, rules=None, *, can_widen=True):
    tables = Tables(staging, can_widen=can_widen)
    events = [event(n, properties=body, context=context) for n, (body, context) in enumerate(history)]
    ends = [*sorted({cut % len(events) for cut in cuts} - {0}), len(events)]
    for first, end in zip([0, *ends], ends, strict=False):
        tables.load(*events[first:end], rules=rules or Rules())
    return tables


@SETTINGS
@given(histories, st.lists(st.integers(0, 100), max_size=3), st.sampled_from(list(WAYS)))
@example([({"a": False}, {}), ({"A": 0}, {})], [], "overflow")
@example([({"a": 1}, {"n": 1}), ({"a": 2**60 + 1}, {"n": 0.5}), ({"a": 5.5}, {"n": "x"})], [1, 2], "widen")
@example([({"a": 1}, {"n": 1}), ({"a": 5.5}, {"n": 0.5}), ({"a": {}}, {"n": "x"})], [1, 2], "cannot widen")
@example([({"a": {"b": -(2**63) - 1}}, {"a": {"b": 2**70}}), ({"a": {"b": 0.5}}, {})], [1], "widen")
@example([({"a": {"b": 0.5}}, {"a": {"b": 0.5}}), ({"a": {"b": 2**70}}, {"a": {"b": 2**70}})], [], "overflow")
@example([({"zip": 1234}, {}), ({"zip": "01234"}, {}), ({"zip": "+49"}, {})], [1], "widen")
@example([({"at": "2026-01-02T03:04:05Z"}, {}), ({"at": "soon"}, {})], [1], "widen")
@example([({"a": 5}, {}), ({"a": 5.5}, {}), ({"a": "5"}, {}), ({"a": "x"}, {})], [1, 2, 3], "widen")
def test_every_value_of_every_event_is_in_its_column_or_in_overflow(staging, history, cuts, way):
    conflicts, can_widen = WAYS[way]
    tables = load(staging, history, cuts, Rules(conflicts), can_widen=can_widen)
    rows = tables.rows("e")
    assert [row["id"] for row in rows] == [f"m{number}" for number in range(len(history))]
    for row, (body, context) in zip(rows, history, strict=True):
        assert missing(row, body, "properties", lambda path: body_column("e", path)) == []
        assert missing(row, context, "context", context_column) == []
    assert [row["id"] for row in tables.rows("tracks")] == [row["id"] for row in rows]
    for row, (_, context) in zip(tables.rows("tracks"), history, strict=True):
        assert missing(row, context, "context", context_column) == []


@SETTINGS
@given(histories)
def test_nothing_is_in_a_row_that_was_not_sent(staging, history):
    tables = load(staging, history, [])
    for row, (body, _) in zip(tables.own("e"), history, strict=True):
        sent = {body_column("e", path) for path, _ in leaves(body)} | {"_overflow"}
        assert {name for name in row if not name.startswith("context_")} <= sent | empty_objects(body)


def empty_objects(value, *path):
    """Return the columns of objects without members: text `{}` where the column is there."""
    if isinstance(value, dict):
        here = {body_column("e", path)} if path and not value else set()
        return here.union(*(empty_objects(member, *path, key) for key, member in value.items()))
    return set()


@SETTINGS
@given(histories, st.lists(st.integers(0, 100), min_size=1, max_size=3))
def test_where_batches_end_changes_no_column_that_can_widen(staging, history, cuts):
    """Only what may be narrower at once than over time differs: a text that is a time."""
    whole = load(staging, history, []).types("e")
    parts = load(staging, history, cuts).types("e")
    assert whole.keys() - {"_overflow"} == parts.keys() - {"_overflow"}


@SETTINGS
@given(histories)
def test_segments_rules_load_every_row_and_keep_no_overflow(staging, history):
    tables = load(staging, history, [1], SEGMENT)
    rows = tables.rows("e")
    assert [row["id"] for row in rows] == [f"m{number}" for number in range(len(history))]
    for row in rows:
        assert all(len(value) <= 512 for value in row.values() if isinstance(value, str))
        if "_overflow" in row:  # more spellings of one name than anyone needs
            assert json.loads(row["_overflow"]).keys() <= {"properties", "context"}
