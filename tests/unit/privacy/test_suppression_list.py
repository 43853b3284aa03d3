"""Who is suppressed is decided alike by the door, by delivery and by the loading of whole batches."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.loading.staging import Staging
from headwater.privacy.subjects import Hasher, Kind, Subject, subject, subjects_of
from headwater.privacy.suppression import Suppressions
from headwater.spec.event import Frame

KEY = Hasher(b"k" * 32)
IDS = ["u1", "u%", "Ann@X.org", "ann@x.org", "ü\u2028'\"", "\U0001f600", "42", " ann@x.org "]


def suppressing(*entries, scope="w"):
    made = Suppressions(KEY)
    made.place({"s": "w", "other": "v"})
    made.add((scope, KEY.digest(each)) for each in entries)
    return made


def events():
    ids = st.none() | st.sampled_from(IDS)
    document = st.none() | st.fixed_dictionaries({}, optional={"email": ids, "x": st.integers()})
    context = st.none() | st.fixed_dictionaries({}, optional={"traits": document})
    return st.one_of(
        *(
            st.fixed_dictionaries(
                {"type": st.just(call), "userId": ids, "anonymousId": ids, body: document, "context": context}
            )
            for call, body in (("track", "properties"), ("identify", "traits"), ("page", "properties"))
        ),
        st.fixed_dictionaries({"type": st.just("alias"), "userId": ids, "previousId": ids, "context": context}),
    )


@pytest.fixture(scope="module")
def staging(tmp_path_factory):
    list_ = Suppressions(KEY)
    list_.place({"s": "w"})
    made = Staging(tmp_path_factory.mktemp("staging"), list_)
    yield made, list_
    made.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(events(), min_size=1, max_size=12), st.sets(st.sampled_from(IDS), max_size=3), st.sampled_from(Kind))
def test_a_batch_leaves_out_exactly_those_whom_the_door_turns_away(staging, sent, values, kind):
    made, list_ = staging
    list_.replace(("w", KEY.digest(subject(kind, value))) for value in values)
    lines = [{**body, "messageId": f"m{number}", "event": "e"} for number, body in enumerate(sent)]
    text = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    read = made.read([Frame("s", 0, len(lines), datetime.now(UTC), 0, text)])
    there = [row[0] for row in made.connection.execute("select id from raw order by rowid").fetchall()]
    assert there == [line["messageId"] for line in lines if not list_("s", line)]
    assert (read.rows + read.suppressed, read.filtered) == (len(lines), 0)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"userId": "Ann"}, {(Kind.USER, "Ann")}),
        ({"anonymousId": "A@b.c"}, {(Kind.ANONYMOUS, "A@b.c"), (Kind.EMAIL, "a@b.c")}),
        ({"traits": {"email": " A@B.c"}}, {(Kind.EMAIL, "a@b.c")}),
        ({"properties": {"email": "a@b.c"}}, {(Kind.EMAIL, "a@b.c")}),
        ({"context": {"traits": {"email": "a@b.c"}}}, {(Kind.EMAIL, "a@b.c")}),
        ({"previousId": "x", "userId": 7}, {(Kind.USER, "x"), (Kind.ANONYMOUS, "x"), (Kind.USER, "7")}),
        ({"traits": ["email"], "context": "no", "properties": {"email": 5}, "userId": True}, set()),
    ],
)
def test_identifiers_are_found_where_segments_spec_puts_them(body, found):
    assert subjects_of(body) == {Subject(*each) for each in found}


def test_a_list_concerns_its_workspace_or_its_one_source():
    everywhere = suppressing(Subject(Kind.USER, "u1"))
    assert everywhere("s", {"userId": "u1"})
    assert not everywhere("other", {"userId": "u1"})
    assert not everywhere("s", {"userId": "U1"})  # ids are compared exactly
    limited = suppressing(Subject(Kind.EMAIL, "a@b.c"), scope="s")
    assert limited("s", {"traits": {"email": "A@b.C"}})
    assert not limited("other", {"traits": {"email": "a@b.c"}})


def test_wildcards_are_only_characters():
    held = suppressing(Subject(Kind.USER, "*"), Subject(Kind.USER, "u%"))
    assert [held("s", {"userId": user}) for user in ("*", "u%", "u1", "")] == [True, True, False, False]
