"""The page that deletes a source, over real HTTP: an account's webhook is taken down first, as in the API."""

import re

import pytest

from headwater.control.accounts import Place


@pytest.mark.parametrize("type_", ["activecampaign", "http-api"])
def test_a_source_that_is_deleted_on_its_page_takes_its_accounts_webhook_down_first(running, page, type_):
    control, workspace_id = running.control, running.workspace.id
    source = control.sources.create(workspace_id, "email", type_, name="Email")
    place = Place("https://acme.api-us1.com", "acme")
    made = control.accounts.connect(workspace_id, place, api_key="a" * 64, source_id=source.id)
    shown = page("/sources/email/settings")
    csrf = re.search(r'name="csrf" value="([^"]+)"', shown).group(1)
    page("/sources/email/delete", csrf=csrf, confirm="Email")
    assert running.pipeline.webhooks == {made.id: "off"}
    assert control.snapshot().sources == control.snapshot().accounts == ()


def test_the_page_of_an_ordinary_source_shows_the_address_that_its_account_posts_to(running, page):
    control, workspace_id = running.control, running.workspace.id
    source = control.sources.create(workspace_id, "site", "http-api")
    place = Place("https://acme.api-us1.com", "acme")
    control.accounts.connect(workspace_id, place, api_key="a" * 64, source_id=source.id)
    shown = page("/sources/site/overview")
    assert "/webhooks/http-api/" not in shown
    assert "/webhooks/activecampaign/" in shown
