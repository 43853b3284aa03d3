"""Set-up, passwords, invitations, sessions: real requests, no browser."""

import threading
import time
import urllib.request
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from cookies import Browser
from sqlalchemy import update
from website import Website, opened

from headwater.clock import now
from headwater.control.audit import trail
from headwater.control.database import noting
from headwater.control.moments import text_of
from headwater.control.people.invites import Wanted
from headwater.control.people.sessions import LASTS
from headwater.control.people.tables import sessions

PASSWORD = "correct horse battery"
FORM = {"name": "Ann", "email": "Ann@example.com", "password": PASSWORD, "again": PASSWORD}


@pytest.fixture
def browser(website):
    return Browser(website.url)


@pytest.fixture
def ann(website, browser):
    """The first owner, signed in."""
    owner = website.owner()
    assert browser.sign_in().location == "/default"
    return owner


def test_the_set_up_link_makes_the_first_owner_and_works_once(website, browser):
    link = website.set_up_link()
    token = link.partition("=")[2]
    assert "Set up Headwater" in browser.ask(link).text
    assert browser.ask("/set-up", {"token": token, **FORM}).location == "/"
    assert browser.ask("/default").status == 200
    assert [each.user.email for each in website.control.users.all(website.workspace.id)] == ["ann@example.com"]
    late = Browser(website.url)
    assert late.ask(link).status == 403
    assert late.ask("/set-up", {"token": token, **FORM, "email": "eve@example.com"}).status == 403
    assert late.cookies == {}
    assert len(website.control.users.all(website.workspace.id)) == 1


def test_a_set_up_form_says_what_is_wrong_and_shows_no_password(website, browser):
    token = website.set_up_link().partition("=")[2]
    for wrong, said in (
        ({"password": "short", "again": "short"}, "at least 8 characters"),
        ({"password": "12345678", "again": "12345678"}, "most common"),
        ({"again": "something else"}, "two different passwords"),
        ({"email": "ann"}, "no e-mail address"),
        ({"name": " "}, "name is required"),
    ):
        answer = browser.ask("/set-up", {"token": token, **FORM, **wrong})
        assert answer.status == 422
        assert said in answer.text
        assert PASSWORD not in answer.text
    assert not website.control.credentials.is_set_up()


def test_before_the_set_up_the_sign_in_page_says_how(browser):
    assert "headwater setup-link" in browser.ask("/sign-in").text


def test_a_wrong_password_and_an_unknown_person_get_the_same_page(website, browser):
    website.owner()
    pages = [browser.sign_in(email, "wrong password") for email in ("ann@example.com", "bob@example.com")]
    assert [page.status for page in pages] == [403, 403]
    assert pages[0].text.replace("ann@", "bob@") == pages[1].text
    assert browser.cookies == {}


def test_the_eleventh_wrong_password_has_to_wait(website, browser):
    website.owner()
    for _ in range(10):
        assert browser.sign_in(password="wrong password").status == 403
    answer = browser.sign_in()
    assert answer.status == 429
    assert 0 < int(answer.headers["retry-after"]) <= 600
    assert "Try again in 10 minutes" in answer.text


def test_the_cookie_is_new_at_each_sign_in_and_the_one_before_is_worthless(website, browser):
    website.owner()
    browser.cookies = {"headwater": "chosen-by-somebody-else"}
    answer = browser.sign_in()
    told = answer.headers["set-cookie"]
    assert "HttpOnly" in told
    assert "SameSite=lax" in told
    assert f"Max-Age={int(LASTS.total_seconds())}" in told
    first = dict(browser.cookies)
    assert first != {"headwater": "chosen-by-somebody-else"}
    browser.sign_in()
    assert Browser(website.url, first).ask("/default").status == 303
    assert browser.ask("/default").status == 200


def test_where_people_use_https_the_cookie_is_bound_to_the_host(tmp_path):
    website = Website(tmp_path, public_url="https://headwater.example.com")
    try:
        website.owner()
        browser = Browser(website.url)
        told = browser.sign_in(host="headwater.example.com").headers["set-cookie"]
        assert told.startswith("__Host-headwater=")
        assert "Secure" in told
        assert "Path=/" in told
        assert "Domain" not in told
        assert browser.ask("/default", host="headwater.example.com").status == 200
    finally:
        website.close()


@pytest.mark.usefixtures("ann")
def test_signing_out_ends_the_session_for_every_tab(website, browser):
    other_tab = Browser(website.url, dict(browser.cookies))
    csrf = other_tab.ask("/default/profile").csrf
    assert browser.send("/sign-out", "/default/profile").location == "/sign-in"
    assert browser.cookies == {}
    answer = other_tab.ask("/default/profile/name", {"csrf": csrf, "name": "Eve"})
    assert (answer.status, answer.location) == (303, "/sign-in")
    assert [each.user.name for each in website.control.users.all(website.workspace.id)] == ["Ann"]


def test_a_new_password_ends_every_other_session_and_this_one_goes_on_anew(website, browser, ann):
    elsewhere, before = Browser(website.url), dict(browser.cookies)
    elsewhere.sign_in()
    form = {"present": PASSWORD, "new": "another good one", "again": "another good one"}
    answer = browser.send("/default/profile/password", "/default/profile", **form)
    assert answer.location == "/default/profile?changed=password"
    assert browser.ask("/default").status == 200
    assert [each.ask("/default").status for each in (elsewhere, Browser(website.url, before))] == [303, 303]
    assert len(website.control.sessions.all(ann.id)) == 1
    assert Browser(website.url).sign_in().status == 403
    assert Browser(website.url).sign_in(password="another good one").status == 303


@pytest.mark.usefixtures("ann")
def test_a_wrong_change_of_password_changes_nothing(website, browser):
    for wrong, said in (
        ({"present": "wrong password"}, "not your present password"),
        ({"new": "12345678", "again": "12345678"}, "most common"),
        ({"again": "x"}, "two different passwords"),
    ):
        form = {"present": PASSWORD, "new": "another good one", "again": "another good one", **wrong}
        answer = browser.send("/default/profile/password", "/default/profile", **form)
        assert answer.status == 422
        assert said in answer.text
    assert Browser(website.url).sign_in().status == 303


def test_sessions_are_listed_and_ended_one_by_one_and_together(website, browser, ann):
    others = [Browser(website.url) for _ in range(3)]
    for each in others:
        each.sign_in(user_agent="Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0")
    page = browser.ask("/default/profile")
    assert page.text.count("Firefox on Windows</strong>") == 3
    assert page.text.count("This one") == 1
    one = next(each.id for each in website.control.sessions.all(ann.id) if "Firefox" in each.agent)
    browser.send("/default/profile/sessions", "/default/profile", session=one)
    assert len(website.control.sessions.all(ann.id)) == 3
    browser.send("/default/profile/sessions", "/default/profile")
    assert [each.ask("/default").status for each in others] == [303] * 3
    assert browser.ask("/default").status == 200


def test_a_role_holds_in_its_own_workspace_only(website, browser, ann):
    control = website.control
    other = control.workspaces.create("Other", "other", "us")
    hidden = control.workspaces.create("Hidden", "hidden", "us")
    control.users.add(other.id, ann.email, "Ann", "read-only")
    assert browser.ask("/other").status == 200
    assert browser.ask("/").location == "/other"  # the one that was looked at last
    form = {"name": "Website", "slug": "website", "csrf": browser.ask("/other/profile").csrf}
    assert browser.ask("/other/sources/new/http-api", form).status == 403
    assert browser.ask("/default/sources/new/http-api", form).status == 303
    assert [browser.ask(f"/{slug}").status for slug in (hidden.slug, "none")] == [404, 404]
    assert [len(control.sources.all(each.id)) for each in (website.workspace, other)] == [1, 0]


@pytest.mark.usefixtures("ann")
def test_nobody_ends_anothers_session(website, browser):
    bo = website.control.users.add(website.workspace.id, "bo@example.com", "Bo", "member").user
    secret, session = website.control.sessions.open(bo.id, "", "")
    answer = browser.send("/default/profile/sessions", "/default/profile", session=session.id)
    assert answer.status == 404
    assert website.control.sessions.find(secret)


@pytest.mark.usefixtures("ann")
def test_who_may_do_something_else_now_signs_in_again(website):
    users, workspace_id = website.control.users, website.workspace.id
    bo = users.add(workspace_id, "bo@example.com", "Bo", "member").user
    for deed in (lambda: users.set_role(workspace_id, bo.id, "read-only"), lambda: users.remove(workspace_id, bo.id)):
        browser = Browser(website.url, {"headwater": website.control.sessions.open(bo.id, "", "")[0]})
        assert browser.ask("/default").status == 200
        deed()
        assert browser.ask("/default").status == 303


def test_a_member_may_change_and_a_reader_may_not(website):
    website.owner()
    for role, status in (("member", 303), ("read-only", 403)):
        user = website.control.users.add(website.workspace.id, f"{role}@example.com", role, role).user
        browser = Browser(website.url, {"headwater": website.control.sessions.open(user.id, "", "")[0]})
        form = {"name": role, "slug": role.replace("-", "_"), "csrf": browser.ask("/default/profile").csrf}
        assert browser.ask("/default/sources/new/http-api", form).status == status
    assert [each.slug for each in website.control.sources.all(website.workspace.id)] == ["member"]


def test_an_invitation_makes_a_member_once(website, browser):
    website.owner()
    (sent,) = website.control.invites.invite(website.workspace.id, [Wanted("bo@example.com", "member")])
    path = "/invitation/" + sent.link.rpartition("/")[2]
    assert "bo@example.com" in browser.ask(path).text
    assert browser.ask(path, {"name": "Bo", "password": "short", "again": "short"}).status == 422
    joined = browser.ask(path, {"name": "Bo", "password": "quite another one", "again": "quite another one"})
    assert joined.location == "/default"
    assert browser.ask("/default").status == 200
    again = Browser(website.url)
    assert again.ask(path).status == 404
    assert again.ask(path, {"name": "Eve", "password": PASSWORD, "again": PASSWORD}).status == 404
    assert again.sign_in("bo@example.com", "quite another one").status == 303


def test_an_invitation_lets_a_known_person_join_who_is_signed_in(website, browser):
    ann, users, workspace_id = website.owner(), website.control.users, website.workspace.id
    users.add(workspace_id, "bo@example.com", "Bo", "owner")
    users.remove(workspace_id, ann.id)
    (sent,) = website.control.invites.invite(workspace_id, [Wanted("ann@example.com", "read-only")])
    path = "/invitation/" + sent.link.rpartition("/")[2]
    assert "This address has an account already" in browser.ask(path).text
    answer = browser.ask(path, {"name": "Eve", "password": "a password of eve", "again": "a password of eve"})
    assert answer.location == "/sign-in?" + urlencode({"next": path})
    assert (browser.cookies, users.memberships_of(ann.id)) == ({}, [])
    assert browser.sign_in().status == 303
    assert "You are signed in to your account" in browser.ask(path).text
    assert browser.ask(path, {"name": "Eve"}).location == "/default"
    assert users.get(workspace_id, ann.id).user.name == "Ann"


def test_who_took_an_address_first_gets_nothing_that_its_owner_is_invited_to(website):
    """Account pre-hijacking: an owner invites somebody else's address, and takes the link up themselves."""
    website.owner()
    control, other = website.control, website.control.workspaces.create("Other", "other", "us")
    (taken,) = control.invites.invite(website.workspace.id, [Wanted("vic@example.com", "read-only")])
    eve = Browser(website.url)
    given = {"name": "Vic", "password": "a password of eve", "again": "a password of eve"}
    assert eve.ask("/invitation/" + taken.link.rpartition("/")[2], given).location == "/default"
    (meant,) = control.invites.invite(other.id, [Wanted("vic@example.com", "owner")])
    vic = Browser(website.url)
    vic.ask("/invitation/" + meant.link.rpartition("/")[2], {"name": "Vic"})
    assert eve.ask("/other").status == 404
    assert [
        each.workspace_id for each in control.users.memberships_of(control.users.by_email("vic@example.com").id)
    ] == [website.workspace.id]


def test_who_is_in_no_workspace_any_more_is_told_so(website, browser, ann):
    website.control.users.add(website.workspace.id, "bo@example.com", "Bo", "owner")
    website.control.users.remove(website.workspace.id, ann.id)
    browser.sign_in()
    answer = browser.ask("/")
    assert answer.status == 403
    assert "Ask an owner for an invitation" in answer.text
    assert browser.ask("/sign-in").status == 200


def test_passwords_that_are_not_tried_any_more_fill_no_trail(website, browser):
    ann = website.owner()
    bo = website.control.users.add(website.workspace.id, "bo@example.com", "Bo", "member").user
    statuses = [browser.sign_in(password="wrong one").status for _ in range(14)]
    assert statuses == [403] * 10 + [429] * 4
    browser.sign_in("bo@example.com", "wrong one")
    noted = []
    for _ in range(500):  # it is written down once the answer is out
        found = website.control.audit.page(trail.Wanted(website.workspace.id, type="Sign In Failed"), 100)
        noted = [each.resource_id for each in found]
        if bo.id in noted and noted.count(ann.id) >= 10:
            break
        time.sleep(0.02)
    assert sorted(noted) == sorted([bo.id, *[ann.id] * 10])


def test_a_first_password_is_set_soon_after_signing_in_and_not_in_an_old_session(website):
    website.owner()
    control, new = website.control, {"new": "quite another one", "again": "quite another one"}
    bo = control.users.add(website.workspace.id, "bo@example.com", "Bo", "member").user
    browser = Browser(website.url, {"headwater": control.sessions.open(bo.id, "", "")[0]})
    with noting(control._engine) as connection:
        connection.execute(update(sessions).values(created_at=text_of(now() - timedelta(minutes=16))))
    answer = browser.send("/default/profile/password", "/default/profile", **new)
    assert (answer.status, "Sign out and in again" in answer.text) == (422, True)
    assert not control.users.find(bo.id).has_password
    browser.cookies = {"headwater": control.sessions.open(bo.id, "", "")[0]}
    assert browser.send("/default/profile/password", "/default/profile", **new).status == 303
    assert control.users.find(bo.id).has_password


def test_an_unknown_invitation_is_a_page_that_says_so(browser):
    for token in ("x", "hwi_" + "a" * 43, "a" * 5_000, "%00", "%F0%9F%90%88"):
        answer = browser.ask(f"/invitation/{token}")
        assert answer.status == 404
        assert "This invitation does not work" in answer.text


def test_a_token_that_is_narrowed_by_scopes_opens_no_pages(website, browser):
    token, _ = website.control.tokens.create(website.workspace.id, "narrow", "owner", only=["sources:read"])
    assert browser.ask(f"/sign-in?token={token}").status == 403


def test_no_other_site_signs_anybody_in_or_sets_up(website, browser):
    token = website.set_up_link().partition("=")[2]
    sites = ({"sec_fetch_site": "cross-site"}, {"origin": "https://evil.example"})
    assert {browser.ask("/set-up", {"token": token, **FORM}, **site).status for site in sites} == {403}
    assert not website.control.credentials.is_set_up()
    website.owner()
    assert {browser.sign_in(**site).status for site in sites} == {403}
    assert browser.cookies == {}


def test_who_signs_in_stands_in_the_audit_trail(website, browser):
    ann = website.owner()
    browser.sign_in()
    browser.sign_in(password="wrong password")
    browser.sign_in("nobody@example.com")

    def newest():
        found = website.control.audit.page(trail.Wanted(website.workspace.id), 2)
        return [(each.type, each.actor_kind, each.resource_id, each.address) for each in found]

    for _ in range(500):  # it is written down once the answer is out
        if newest()[0][0] == "Sign In Failed":
            break
        time.sleep(0.02)
    assert newest() == [
        ("Sign In Failed", "system", ann.id, "127.0.0.1"),
        ("User Signed In", "user", ann.id, "127.0.0.1"),
    ]


def test_a_stream_ends_with_its_session_also_while_events_keep_arriving(website, browser, ann):
    source = website.source()
    stream = f"{website.url}/default/sources/{source.slug}/stream"
    request = urllib.request.Request(stream, headers={"cookie": f"headwater={browser.cookies['headwater']}"})
    ended = threading.Event()

    def send():
        while not ended.wait(0.05):
            website.send(source, opened(1))

    sending = threading.Thread(target=send)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.readline().startswith(b"retry")
        sending.start()
        try:
            website.control.sessions.revoke_all(ann.id)
            answer.read()  # returns when the server ends it; times out otherwise
        finally:
            ended.set()
            sending.join()
