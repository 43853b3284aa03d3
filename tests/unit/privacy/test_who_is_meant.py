"""Which records are a person's, and which other names belong to them."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.privacy.links import Links
from headwater.privacy.matching import Matcher, addresses
from headwater.privacy.person import Person
from headwater.privacy.subjects import Kind, Subject, person, subjects

ANN = Person(frozenset({"ann", "user-of-ann-0001"}), frozenset({"a1"}), frozenset({"ann@x.org"}))
MATCHER = Matcher(ANN)


def line(body):
    return json.dumps(body, ensure_ascii=False).encode()


def escaped(text):
    """Return a text with every sign of it escaped as JSON may do it."""
    return "".join(f"\\u{ord(each):04x}" for each in text)


@pytest.mark.parametrize(
    "body",
    [
        {"userId": "ann"},
        {"anonymousId": "a1"},
        {"type": "alias", "previousId": "ann"},
        {"type": "alias", "previousId": "a1"},
        {"context": {"traits": {"user_id": "ann"}}},
        {"properties": {"who": ["user-of-ann-0001"]}},
        {"traits": {"email": "Ann@X.ORG"}},
        {"properties": {"url": "https://e.org/?to=ann%40x.org&b=1"}},
        {"properties": {"text": "write to <ann@x.org>."}},
        {"properties": {"text": "a\nann@x.org\tb"}},
    ],
)
def test_what_is_hers_is_found_wherever_it_stands(body):
    assert MATCHER.in_event(line(body))
    assert MATCHER.may_hold(line(body))


@pytest.mark.parametrize(
    "body",
    [
        {"userId": "Ann"},
        {"userId": "a1"},  # an anonymous id is no user id
        {"properties": {"name": "ann"}},  # too short to be nobody else's
        {"traits": {"email": "joann@x.org"}},
        {"traits": {"email": "ann@x.org.uk"}},
        {"traits": {"email": "ann@xxorg"}},
        {"properties": {"who": "user-of-ann-00012"}},
        {"erased": ""},
    ],
)
def test_what_is_somebody_elses_stays(body):
    assert not MATCHER.in_event(line(body))


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40))
def test_any_user_id_is_found_however_json_writes_it(user):
    for text in (json.dumps({"userId": user}), json.dumps({"userId": user}, ensure_ascii=False)):
        whom = Matcher(Person(user_ids=frozenset({user})))
        assert whom.in_event(text.encode())
        assert whom.may_hold(text.encode())


@given(
    st.from_regex(r"[a-z0-9]([a-z0-9._+-]{0,20}[a-z0-9])?@[a-z0-9]{1,10}\.[a-z]{2,5}", fullmatch=True),
    st.sampled_from(["{}", " {} ", "<{}>", "x={}&y", "x\n{}", "({}),", "mailto:{}"]),
)
def test_any_address_is_found_in_any_text(email, around):
    text = around.format(email)
    whom = Matcher(Person(emails=frozenset({email})))
    assert whom.in_event(line({"properties": {"t": text.upper()}}))
    assert whom.in_event(line({"properties": {"t": quote(text)}}))
    assert whom.in_text(quote(text).encode())
    assert email in set(addresses(text))
    for written in (text.upper(), quote(text), "".join(f"%{ord(each):02X}" for each in email)):
        assert whom.may_hold(line({"properties": {"t": written}}))
        assert whom.may_hold(quote(written).encode())


@given(
    st.sampled_from(
        ["ann+1@x.org", "o'neil@x.org", "user of ann 01", "ann/0001/device", "j\u00fcrgen@x.org", "\u00fc\u00df\u00e4"]
    ),
    st.lists(st.sampled_from([str.upper, quote, json.dumps, lambda text: json.dumps(text)[1:-1], escaped]), max_size=3),
)
def test_what_is_found_is_never_passed_over_in_a_hurry(wanted, written):
    text = wanted
    for each in written:
        text = each(text)
    names = frozenset({wanted})
    whom = Matcher(Person(emails=names) if "@" in wanted else Person(names, names))
    raw = b"x=" + text.encode() + b"&y=1"
    assert whom.may_hold(raw) or not (whom.in_text(raw) or whom.in_event(raw))


def test_few_lines_are_read_closely():
    webhook = b"type=open&contact%5Bemail%5D=bob%40x.org&contact%5Btags%5D=&campaign%5Bname%5D=20+%25+off%2C+now"
    assert not Matcher(Person(emails=frozenset({"ann+1@x.org"}))).may_hold(webhook)


def test_raw_texts_are_searched_escaped_or_not():
    assert MATCHER.in_text(b"contact%5Bemail%5D=ann%40x.org&type=open")
    assert MATCHER.in_text(json.dumps({"sample": json.dumps({"userId": "user-of-ann-0001"})}).encode())
    assert not MATCHER.in_text(b"contact%5Bemail%5D=joann%40x.org")


def linked(named, *bodies):
    links = Links(named)
    for _ in range(4):
        for body in bodies:
            links.learn(body)
    return {(each.kind.value, each.value) for each in links.because}


def test_events_lead_from_an_address_to_the_user_and_to_her_devices():
    found = linked(
        {Subject(Kind.EMAIL, "ann@x.org")},
        {"type": "track", "userId": "ann", "anonymousId": "a2"},
        {"type": "identify", "userId": "ann", "traits": {"email": "Ann@x.org"}},
        {"type": "alias", "userId": "ann", "previousId": "old"},
    )
    assert found == {
        ("email", "ann@x.org"),
        ("user", "ann"),
        ("anonymous", "a2"),
        ("user", "old"),
        ("anonymous", "old"),
    }


def test_a_shared_device_makes_nobody_another_person():
    both = [
        {"type": "identify", "userId": "ann", "anonymousId": "phone"},
        {"type": "identify", "userId": "bob", "anonymousId": "phone", "traits": {"email": "bob@x.org"}},
    ]
    assert linked({Subject(Kind.USER, "ann")}, *both) == {("user", "ann"), ("anonymous", "phone")}
    assert ("user", "bob") in linked({Subject(Kind.ANONYMOUS, "phone")}, *both)  # who names the device means it


def test_a_friends_address_in_properties_is_the_friends():
    invited = {"type": "track", "userId": "ann", "properties": {"email": "friend@x.org"}}
    assert linked({Subject(Kind.USER, "ann")}, invited) == {("user", "ann")}


def test_persons_and_subjects_are_the_same():
    assert person(subjects(ANN)) == ANN
