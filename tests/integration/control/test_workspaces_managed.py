"""Workspaces as their operators manage them: by the API, from the shell and on the pages."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from plane import SECRET

from headwater import cli
from headwater.control import local_token


@pytest.fixture
def operator():
    return local_token.make(SECRET, datetime.now(UTC))


def test_only_operators_make_and_delete_workspaces(running, operator):
    body = {"name": "Shop", "slug": "shop", "region": "eu"}
    assert running.refused("POST", "/workspaces", body)[:2] == (403, "forbidden")
    made = running.api("POST", "/workspaces", body, token=operator)["workspace"]
    assert (made["slug"], made["region"]) == ("shop", "eu")
    assert running.refused("POST", "/workspaces", body, token=operator)[:2] == (409, "conflict")
    assert running.refused("POST", "/workspaces", {**body, "slug": "api"}, token=operator) == (
        422,
        "invalid_field",
        "slug",
    )
    assert running.refused("PATCH", "/workspaces/shop", {"name": "Ours"})[0] == 404
    assert running.refused("PATCH", "/workspaces/shop", {"name": "x", "region": "us"}, token=operator)[0] == 422
    assert running.api("PATCH", "/workspaces/shop", {"name": "Ours"}, token=operator)["workspace"]["name"] == "Ours"
    assert [each["name"] for each in running.api("GET", "/workspaces", token=operator)["workspaces"]] == [
        "Default",
        "Ours",
    ]
    own = running.workspace.id
    assert running.refused("DELETE", f"/workspaces/{own}")[:2] == (403, "forbidden")
    there = {"Headwater-Workspace": "shop"}
    assert running.api("GET", "/", token=operator, headers=there)["workspace"]["id"] == made["id"]
    running.control.sources.create(made["id"], "site", "http-api")
    assert running.refused("DELETE", "/workspaces/shop", token=operator) == (422, "invalid_field", "confirm")
    running.api("DELETE", "/workspaces/shop?confirm=shop", token=operator)
    assert running.refused("GET", "/workspaces/shop", token=operator)[0] == 404
    assert running.refused("DELETE", "/workspaces/default?confirm=default", token=operator)[:2] == (409, "conflict")


def test_a_source_type_outside_the_region_is_refused_and_the_catalog_says_why(running, operator):
    running.api("POST", "/workspaces", {"name": "Shop", "slug": "shop", "region": "eu"}, token=operator)
    there = {"Headwater-Workspace": "shop"}
    source = {"slug": "mail", "enabled": True, "metadataId": "activecampaign"}
    status, answer, _ = running.http("POST", "/sources", source, token=operator, headers=there)
    assert status == 403
    entry = running.api("GET", "/catalog/sources/activecampaign", token=operator, headers=there)["sourceMetadata"]
    assert entry["unavailableReason"] == answer["errors"][0]["message"]
    assert "EU" in entry["unavailableReason"]
    assert "SOURCE_REGIONS" in entry["unavailableReason"]
    assert running.http("POST", "/sources", source, token=operator)[0] in {200, 201}


def test_the_shell_makes_one_and_works_in_it(running, operator):
    url = running.url.removesuffix("/api")

    def run(*arguments, **environment):
        given = {"HEADWATER_URL": url, "HEADWATER_TOKEN": operator, **environment}
        done = CliRunner().invoke(cli.root, arguments, env=given)
        return done.exit_code, done.output

    status, told = run("workspaces", "create", "shop", "--name", "The shop", "--region", "eu")
    assert status == 0
    assert "headwater invites create" in told
    assert run("sources", "create", "site", "--type", "http-api", "--workspace", "shop")[0] == 0
    assert [each["slug"] for each in json.loads(run("sources", "list", "--json", HEADWATER_WORKSPACE="shop")[1])] == [
        "site"
    ]
    assert json.loads(run("sources", "list", "--json")[1]) == []
    status, told = run("sources", "create", "mail", "--type", "activecampaign", "--workspace", "shop")
    assert (status, "only in US workspaces" in told) == (1, True)
    status, told = run("sources", "list", "--workspace", "nowhere")
    assert (status, "There is no workspace 'nowhere'" in told) == (1, True)
    assert "Ours" in run("workspaces", "update", "shop", "--name", "Ours")[1]
    assert json.loads(run("workspaces", "show", "shop", "--json")[1])["name"] == "Ours"
    assert run("workspaces", "delete", "shop")[0] == 1
    assert run("workspaces", "delete", "shop", "--confirm", "shop") == (0, "Deleted workspace shop.\n")
    assert "shop" not in run("workspaces", "list")[1]


def test_pages_switch_make_name_and_delete(running, page):
    csrf = page("/settings/workspace").partition('name="csrf" value="')[2].partition('"')[0]
    assert "Delete this workspace" not in page("/settings/workspace")
    form = page("/settings/workspace/new")
    assert "Not here: ActiveCampaign" in form
    with pytest.raises(Exception, match="422"):
        page("/settings/workspace/new", csrf=csrf, name="Shop", slug="api", region="eu")
    home = page("/settings/workspace/new", csrf=csrf, name="The shop", slug="shop", region="eu")
    assert 'href="/default"' in home
    assert "The shop" in home
    page("/settings/workspace", csrf=csrf, name="Ours")
    assert running.control.workspaces.get("default").name == "Ours"
    with pytest.raises(Exception, match="422"):
        page("/settings/workspace/delete", csrf=csrf, confirm="Ours")
    page("/settings/workspace/delete", csrf=csrf, confirm="default")
    assert [each.slug for each in running.control.workspaces.all()] == ["shop"]
