"""The pages about the Public API: every operation is there, nothing comes from elsewhere, nobody has to sign in."""

import html
import re
import urllib.error
import urllib.request

import pytest
from plane import serving

from headwater.control import api
from headwater.web import api_docs


@pytest.fixture(scope="module")
def document(shared):
    return api.described(shared.routes)


@pytest.fixture(scope="module")
def read(shared, document):
    with serving([*api_docs.build(document, "https://events.example.com"), *shared.routes]) as url:

        def asked(path="", **headers):
            request = urllib.request.Request(f"{url}/docs{path}", headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.status, answer.read().decode(), answer.headers
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode(), error.headers

        yield asked


def test_every_operation_is_on_the_page_of_its_family(read, document):
    status, first, headers = read()
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    for tag in document["tags"]:
        name = tag["name"]
        assert f'href="/api/docs/{name}"' in first
        status, page, _ = read(f"/{name}")
        assert status == 200, name
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if operation["tags"] == [name]:
                    assert f'id="{operation["operationId"]}"' in page, (method, path)
                    assert f"<code>{html.escape(path)}</code>" in page, (method, path)
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids)), name


def test_nothing_comes_from_elsewhere(read, document):
    for path in ("", *(f"/{tag['name']}" for tag in document["tags"])):
        _, page, _ = read(path)
        for address in re.findall(r'\b(?:src|href)="([^"]+)"', page):
            assert address.startswith(("/", "#")), (path, address)
        assert not re.search(r"<style|\bstyle=|<script(?! type=\"module\" src=)|\son\w+=", page), path


def test_members_are_told_with_their_types_and_what_they_mean(read):
    _, page, _ = read("/sources")
    text = html.unescape(re.sub(r"<[^>]+>", " ", page))
    assert "metadataId" in text
    assert "Id or slug of a type in the catalog." in text
    assert "source.metadata.options[].name" in text
    assert "pagination[count] pagination[cursor]" in text
    assert 'curl -X POST "$HEADWATER_URL/api/sources"' in text
    assert '{"slug": "shop", "enabled": true, "metadataId": "http-api"}' in text


def test_a_family_that_is_none_is_not_found(read):
    for path in ("/none", "/%3Cscript%3E", "/" + "x" * 3_000):
        status, page, _ = read(path)
        assert status == 404, path
        assert "There is no such family" in page
        assert "<script>" not in page


def test_the_viewers_choice_of_colours_holds(read):
    assert 'data-theme="dark"' in read(cookie="headwater-theme=dark")[1]
    assert "data-theme=" not in read(cookie="headwater-theme=x")[1]


def test_examples_are_bodies_that_the_api_takes_for_well_formed(shared, document):
    """Most name things that are not there; none is refused for its form."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "requestBody" in operation:
                example = operation["requestBody"]["content"]["application/json"]["example"]
                place = re.sub(r"\{\w+\}", "none", path)
                status, answer, _ = shared.http(method.upper(), place, example)
                kinds = {each["type"] for each in answer.get("errors", [])}
                assert status not in {400, 415, 500}, (method, path, example, answer)
                assert "unknown_field" not in kinds, (method, path, example, answer)


def test_how_to_begin_names_this_servers_own_address(read):
    assert "export HEADWATER_URL=https://events.example.com\n" in read()[1]
