"""From the set-up link to signing out, as a person does it; and the pages before the sign-in, wide and narrow."""

import pytest
from playwright.sync_api import expect

from headwater.control.people.invites import Wanted


def test_somebody_sets_up_looks_at_their_profile_and_signs_in_again(website, visitor):
    guest = visitor(role="")
    page = guest.goto(website.set_up_link())
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("E-mail address").fill("ann@example.com")
    page.get_by_label("Password", exact=True).fill("12345678")
    page.get_by_label("Password, once more").fill("12345678")
    page.get_by_role("button", name="Set up and sign in").click()
    expect(page.get_by_text("one of the most common")).to_be_visible()
    expect(page.get_by_label("E-mail address")).to_have_value("ann@example.com")
    page.get_by_label("Password", exact=True).fill("correct horse battery")
    page.get_by_label("Password, once more").fill("correct horse battery")
    page.get_by_role("button", name="Set up and sign in").click()
    page.get_by_role("link", name="Ann", exact=True).click()
    expect(page.get_by_role("heading", name="Your profile")).to_be_visible()
    assert guest.axe() == []

    page.get_by_label("Name", exact=True).fill("Ann Example")
    page.get_by_role("button", name="Save name").click()
    expect(page.get_by_role("link", name="Ann Example")).to_be_visible()
    page.get_by_label("Present password").fill("correct horse battery")
    page.get_by_label("New password", exact=True).fill("another good one")
    page.get_by_label("New password, once more").fill("another good one")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Your password is changed")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("E-mail address").fill("ann@example.com")
    page.get_by_label("Password", exact=True).fill("correct horse battery")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("E-mail address or password is wrong.")
    page.get_by_label("Password", exact=True).fill("another good one")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(f"{website.url}/default")


@pytest.mark.parametrize("width", [390, 1360])
def test_the_pages_before_the_sign_in_fit_and_are_accessible(website, visitor, width, screenshots):
    scheme = "dark" if width == 390 else "light"
    guest = visitor(role="", viewport={"width": width, "height": 900}, color_scheme=scheme)
    addresses = {"sign-in-first": "/sign-in", "set-up": website.set_up_link(), "set-up-over": "/set-up?token=x"}
    _look(guest, addresses, width, screenshots)
    website.owner()
    (sent,) = website.control.invites.invite(website.workspace.id, [Wanted("bo@example.com", "member")])
    invitation = "/invitation/" + sent.link.rpartition("/")[2]
    addresses = {
        "sign-in": "/sign-in",
        "invitation": invitation,
        "invitation-over": "/invitation/x",
        "set-up-done": "/set-up",
    }
    _look(guest, addresses, width, screenshots)
    guest.context.add_cookies(
        [{"name": "headwater", "value": _session(website), "url": website.url, "httpOnly": True, "sameSite": "Lax"}]
    )
    _look(guest, {"profile": "/default/profile"}, width, screenshots)


def _session(website):
    ann = website.control.users.by_email("ann@example.com")
    website.control.sessions.open(ann.id, "192.0.2.1", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0")
    return website.control.sessions.open(ann.id, "127.0.0.1", "")[0]


def _look(guest, addresses, width, screenshots):
    for name, address in addresses.items():
        page = guest.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert guest.axe() == [], name
        if screenshots:
            page.screenshot(path=screenshots / f"{name}-{width}.png", full_page=True)
