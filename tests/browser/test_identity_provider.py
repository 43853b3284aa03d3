"""Signing in at an identity provider that runs in this test, and what is refused when it, or somebody, cheats."""

import urllib.parse

import pytest
from cookies import Browser
from identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider
from joserfc.jwk import RSAKey
from website import Website

from headwater.control.models import Role
from headwater.control.people.invites import Wanted
from headwater.control.people.oidc import Registration


@pytest.fixture
def provider():
    running = IdentityProvider()
    yield running
    running.close()


@pytest.fixture
def start(tmp_path, provider):
    """Return a function that starts a website which knows the provider; its first owner is there already."""
    started = []

    def starting(*domains):
        registration = Registration(provider.issuer, CLIENT_ID, CLIENT_SECRET, domains)
        started.append(Website(tmp_path, registration=registration))
        started[-1].owner()
        return started[-1]

    yield starting
    for each in started:
        each.close()


@pytest.fixture
def website(start):
    return start()


def away(browser, target="/default"):
    """Go to the provider, sign in there, and return the address it sends the browser back to."""
    there = browser.ask(f"/sign-in/oidc?next={urllib.parse.quote(target)}")
    assert there.status == 303
    return Browser("").ask(there.location).location


def signed_in(browser, **changes):
    back = away(browser)
    for old, new in changes.items():
        back = back.replace(old, new)
    answer = browser.ask(back)
    return answer.location if answer.status == 303 else answer


def refused(website, browser):
    answer = signed_in(browser)
    return answer.status == 403 and browser.cookies == {} and len(website.control.users.all(website.workspace.id)) == 1


def test_who_is_known_comes_in_and_is_linked(website, provider):
    provider.person |= {"email": "Ann@Example.com"}
    browser = Browser(website.url)
    assert "/sign-in/oidc?next=" in browser.ask("/sign-in").text
    assert signed_in(browser) == "/default"
    assert browser.ask("/default").status == 200
    assert list(browser.cookies) == ["headwater"]
    (exchange,) = provider.exchanges
    assert exchange["redirect_uri"] == f"{website.url}/sign-in/oidc/back"
    assert "client_secret" not in exchange
    provider.person |= {"email": "ann.married@example.com"}
    assert signed_in(Browser(website.url)) == "/default"
    assert [each.user.email for each in website.control.users.all(website.workspace.id)] == ["ann@example.com"]


def test_who_is_invited_joins_with_the_role_of_the_invitation(website):
    website.control.invites.invite(website.workspace.id, [Wanted("cy@example.com", "member")])
    browser = Browser(website.url)
    assert signed_in(browser) == "/default"
    cy = website.control.users.by_email("cy@example.com")
    assert (cy.name, cy.has_password) == ("Cy Example", False)
    assert website.control.users.get(website.workspace.id, cy.id).role is Role.MEMBER
    assert "Set a password" in browser.ask("/default/profile").text


def test_nobody_else_comes_in(website):
    browser = Browser(website.url)
    answer = signed_in(browser)
    assert answer.status == 403
    assert "Nobody has invited cy@example.com" in answer.text
    assert browser.cookies == {}


def test_an_allowed_domain_comes_in_to_read_and_what_only_ends_like_it_does_not(start, provider):
    website = start("example.com")
    provider.person |= {"email": "eve@notexample.com", "sub": "s2"}
    assert signed_in(Browser(website.url)).status == 403
    provider.person |= {"email": "Cy@EXAMPLE.com", "sub": "s1"}
    assert signed_in(Browser(website.url)) == "/default"
    roles = {each.user.email: each.role for each in website.control.users.all(website.workspace.id)}
    assert roles == {"ann@example.com": Role.OWNER, "cy@example.com": Role.READ_ONLY}


def test_what_the_provider_says_is_checked(website, provider):
    provider.person |= {"email": "ann@example.com"}
    lies = {
        "another's": {"iss": "https://evil.example"},
        "for another": {"aud": "another client"},
        "for many, asked for by another": {"aud": [CLIENT_ID, "x"], "azp": "x"},
        "past": {"exp": 1_600_000_000},
        "endless": {"exp": None},
        "of another sign-in": {"nonce": "x"},
        "without a sign-in": {"nonce": None},
        "of nobody": {"sub": None},
        "of a number": {"sub": 7},
        "not verified": {"email_verified": False},
        "verified in words": {"email_verified": "true"},
        "without an address": {"email": None},
    }
    for what, claims in lies.items():
        provider.claims = claims
        assert refused(website, Browser(website.url)), what
    provider.claims = {"aud": [CLIENT_ID], "azp": CLIENT_ID}
    assert signed_in(Browser(website.url)) == "/default"


def test_only_the_providers_own_key_signs(website, provider):
    provider.person |= {"email": "ann@example.com"}
    provider.signing = RSAKey.generate_key(2048, {"kid": provider.key.kid})
    assert refused(website, Browser(website.url))
    provider.signing, provider.algorithm = provider.key, "HS256"  # the public key taken for a secret
    assert refused(website, Browser(website.url))
    provider.algorithm = "none"
    assert refused(website, Browser(website.url))


def test_a_key_that_the_provider_changed_is_looked_for(website, provider):
    provider.person |= {"email": "ann@example.com"}
    assert signed_in(Browser(website.url)) == "/default"
    provider.change_key("k2")
    assert refused(website, Browser(website.url))  # asked for a moment ago: not again for each forged token
    website.later_s = 61
    assert signed_in(Browser(website.url)) == "/default"


def test_a_sign_in_belongs_to_the_browser_that_began_it(website, provider):
    provider.person |= {"email": "ann@example.com"}
    browser, victim = Browser(website.url), Browser(website.url)
    back = away(browser)
    assert victim.ask(back).status == 403
    away(victim)
    assert victim.ask(back).status == 403
    assert "headwater" not in victim.cookies
    assert browser.ask(back).status == 303
    assert browser.ask(back).status == 403  # a second time


def test_a_refusal_and_a_wrong_issuer_are_told(website, provider):
    said = {
        "error=access_denied&state={state}": "did not sign you in",
        "code=c&state={state}&iss=https://evil.example": "Another provider answered",
        "code=wrong&state={state}": "did not confirm",
        "code=c": "begun somewhere else",
        "code=c&state=%00": "begun somewhere else",
    }
    browser = Browser(website.url)
    for query, reason in said.items():
        state = urllib.parse.parse_qs(urllib.parse.urlsplit(away(browser)).query)["state"][0]
        answer = browser.ask(f"/sign-in/oidc/back?{query.format(state=state)}")
        assert answer.status == 403
        assert reason in answer.text
    assert [each["code"] for each in provider.exchanges] == ["wrong"]
    assert browser.cookies == {}


def test_a_provider_that_names_itself_differently_or_is_away_leaves_the_password(website, provider):
    provider.named = "https://evil.example"
    answer = Browser(website.url).ask("/sign-in/oidc")
    assert answer.status == 503
    assert "names itself differently" in answer.text
    provider.named = None
    assert Browser(website.url).ask("/sign-in/oidc").status == 503  # left alone for a moment, whoever asks
    website.later_s = 5
    assert Browser(website.url).ask("/sign-in/oidc").status == 303
    provider.close()
    website.later_s += 3_601
    assert Browser(website.url).ask("/sign-in/oidc").status == 503
    assert Browser(website.url).sign_in().status == 303


def test_afterwards_only_own_pages_are_shown(website, provider):
    provider.person |= {"email": "ann@example.com"}
    browser = Browser(website.url)
    assert browser.ask(away(browser, "//evil.example")).location == "/"


def test_without_a_provider_the_way_leads_nowhere(tmp_path):
    website = Website(tmp_path)
    try:
        assert Browser(website.url).ask("/sign-in/oidc").status == 404
        assert Browser(website.url).ask("/sign-in/oidc/back?code=c").status in {403, 404}
        assert "oidc" not in Browser(website.url).ask("/sign-in").text
    finally:
        website.close()
