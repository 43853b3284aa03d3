"""Who gets in and what stays shut: these need the server but no browser."""

import re
import urllib.error
import urllib.parse
import urllib.request

import pytest
from website import Website, opened

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


_opener = urllib.request.build_opener(_NoRedirects)


def ask(website, path, *, form=None, cookie="", **headers):
    """Return status, headers and text of one request, redirects not followed."""
    request = urllib.request.Request(website.url + path)
    if form is not None:
        request.data = urllib.parse.urlencode(form).encode()
    for name, value in {**headers, **({"cookie": cookie} if cookie else {})}.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        answer = _opener.open(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers, answer.read().decode()


def sign_in(website, role="owner"):
    """Return a session's cookie and its form token."""
    _, headers, _ = ask(website, f"/sign-in?token={website.token(role)}")
    cookie = headers["set-cookie"].split(";")[0]
    _, _, page = ask(website, "/default/warehouse", cookie=cookie)
    return cookie, re.search(r'name="csrf" value="([^"]+)"', page)[1]


NEW = {"name": "Website", "slug": "website"}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/default",
        "/default/sources",
        "/default/sources/x/stream",
        "/default/sql",
        "/default/warehouse",
        "/other/x",
    ],
)
def test_nothing_is_shown_without_a_session(website, path):
    status, headers, text = ask(website, path)
    assert (status, text) == (303, "")
    assert headers["location"].startswith("/sign-in?next=%2F")


def test_a_stream_without_a_session_is_refused_plainly(website):
    assert ask(website, "/default/sources/x/stream", accept="text/event-stream")[0] == 401


@pytest.mark.parametrize("path", ["/sign-in", "/default/sources", "/default/none", "/default/sources/none/overview"])
def test_every_page_carries_every_security_header(website, path):
    cookie, _ = sign_in(website)
    _, headers, _ = ask(website, path, cookie="" if path == "/sign-in" else cookie)
    assert headers["content-security-policy"] == CSP
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_assets_are_kept_for_ever_under_their_digest_and_never_under_another(website):
    address = re.search(r'href="(/static/[0-9a-f]{12}/css/base.css)"', ask(website, "/sign-in")[2])[1]
    assert "immutable" in ask(website, address)[1]["cache-control"]
    assert ask(website, "/static/current/css/base.css")[1]["cache-control"] == "no-cache"
    assert ask(website, "/static/current/../../../control.db")[0] == 404
    assert ask(website, "/static/current/%2e%2e/%2e%2e/app.py")[0] == 404


def test_a_wrong_token_and_a_revoked_one_open_nothing(website):
    assert ask(website, "/sign-in?token=hwt_wrong")[0] == 403
    cookie, _ = sign_in(website)
    assert ask(website, "/default", cookie=cookie)[0] == 200
    for token in website.control.tokens.all(website.workspace.id):
        website.control.tokens.revoke(website.workspace.id, token.id)
    assert ask(website, "/default", cookie=cookie)[0] == 303


@pytest.mark.parametrize(
    "cookie", ["headwater=", "headwater=x.y.z", "headwater=" + "a" * 9000, "; ".join(["a=b"] * 200)]
)
def test_a_malformed_cookie_is_nobody(website, cookie):
    assert ask(website, "/default", cookie=cookie)[0] == 303


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(website):
    _, headers, _ = ask(website, f"/sign-in?token={website.token()}")
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=lax" in headers["set-cookie"]
    assert "Max-Age=604800" in headers["set-cookie"]


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:1"},
    ],
)
def test_a_form_of_another_site_changes_nothing(website, headers):
    cookie, csrf = sign_in(website)
    status, _, _ = ask(website, "/default/sources/new/http-api", form={**NEW, "csrf": csrf}, cookie=cookie, **headers)
    assert status == 403
    assert website.control.sources.all(website.workspace.id) == []


def test_a_form_without_this_sessions_token_changes_nothing(website):
    cookie, _ = sign_in(website)
    _, others = sign_in(website)
    for form in (NEW, {**NEW, "csrf": ""}, {**NEW, "csrf": "é"}, {**NEW, "csrf": others}):
        assert ask(website, "/default/sources/new/http-api", form=form, cookie=cookie)[0] == 403
    assert website.control.sources.all(website.workspace.id) == []


def test_a_read_only_session_changes_nothing_and_sees_no_key(website):
    source = website.source()
    website.send(source, opened(1))
    cookie, csrf = sign_in(website, "read-only")
    status, _, _ = ask(website, "/default/sources/new/http-api", form={**NEW, "csrf": csrf}, cookie=cookie)
    assert status == 403
    for path in ("/default", "/default/sources", "/default/sources/activecampaign/overview"):
        _, _, text = ask(website, path, cookie=cookie)
        assert source.write_keys[0] not in text
        assert source.webhook_secret not in text
    _, _, found = ask(website, f"/default/sources?q={source.write_keys[0]}", cookie=cookie)
    assert "Nothing matches" in found


@pytest.mark.parametrize(
    "path", ["//evil.example", "https:evil", "javascript:alert(1)", "/\\evil", "http://evil/x", ""]
)
def test_signing_in_leads_only_to_our_own_pages(website, path):
    query = urllib.parse.urlencode({"token": website.token(), "next": path})
    assert ask(website, f"/sign-in?{query}")[1]["location"] == "/"
    query = urllib.parse.urlencode({"token": website.token(), "next": "/default/sql?q=1"})
    assert ask(website, f"/sign-in?{query}")[1]["location"] == "/default/sql?q=1"


def test_oversized_forms_are_refused_with_a_page(website):
    cookie, csrf = sign_in(website)
    form = {"csrf": csrf, **{f"field{number}": "x" for number in range(10_000)}}
    assert ask(website, "/default/sql", form=form, cookie=cookie)[0] == 413
    status, _, text = ask(website, "/default/sql", form={"csrf": csrf, "sql": "x" * 5_000_000}, cookie=cookie)
    assert status == 413
    assert "A form has at most 256 KB" in text


def test_another_workspace_looks_like_one_that_does_not_exist(website):
    cookie, _ = sign_in(website)
    assert ask(website, "/elsewhere/sources", cookie=cookie)[0] == 404


def test_a_stream_is_refused_to_other_sites_and_odd_positions(website):
    website.source()
    cookie, _ = sign_in(website)
    stream = "/default/sources/activecampaign/stream"
    assert ask(website, stream, cookie=cookie, sec_fetch_site="cross-site")[0] == 403
    assert ask(website, stream, cookie=cookie, origin="https://evil.example")[0] == 403
    for after in ("-1", "x", "1" * 40, "\u0661"):
        assert ask(website, f"{stream}?after={urllib.parse.quote(after)}", cookie=cookie)[0] == 422


def test_open_access_answers_only_loopback_names(tmp_path):
    website = Website(tmp_path, open_access=True)
    try:
        assert ask(website, "/default")[0] == 200
        assert ask(website, "/default", host=f"evil.example:{website.port}")[0] == 403
    finally:
        website.close()


def test_who_may_only_read_is_told_who_begins_and_offered_nothing_that_is_refused(website):
    reader, _ = sign_in(website, "read-only")
    owner, _ = sign_in(website)
    for path in ("", "/sources", "/destinations", "/alerts"):
        _, _, page = ask(website, f"/default{path}", cookie=reader)
        assert "sources/catalog" not in page
        assert "Add e-mail addresses" not in page
    assert "A member or an owner of the workspace adds it." in ask(website, "/default", cookie=reader)[2]
    for path in ("", "/sources", "/destinations"):
        assert "sources/catalog" in ask(website, f"/default{path}", cookie=owner)[2]
