"""Trying an account: which of address and key is wrong, in words that say what to do."""

import json

import pytest

from headwater.activecampaign.address import normalised
from headwater.activecampaign.budget import budget_of
from headwater.budget import Budgets
from headwater.errors import DeliveryError, InvalidRequestError, RetryableError
from headwater.outgoing import Answer
from headwater.sources.activecampaign.connection.checking import checked

URL = "https://acme.api-us1.com"
USER = {"user": {"username": "ada", "id": "1"}}


class Answering:
    """An `Http` that always gives the same answer, or none."""

    def __init__(self, status=200, body=b"", error=None):
        self.answer, self.error, self.calls = Answer(status, {}, body), error, []

    async def request(self, method, url, *, body=b"", headers=None):
        self.calls.append((method, url, body, headers))
        if self.error is not None:
            raise self.error
        return self.answer


async def test_a_good_key_is_told_by_whom_and_changes_nothing():
    http = Answering(200, json.dumps(USER).encode())
    address, user = await checked(http, Budgets(), " acme.api-us1.com/api/3/ ", " k3y ")
    assert (address.base, address.name, user) == (URL, "acme", "ada")
    assert {method for method, *_ in http.calls} == {"GET"}


@pytest.mark.parametrize(
    ("url", "key", "http", "field", "words"),
    [
        ("http://acme.api-us1.com", "k3y", Answering(), "accountUrl", "https"),
        ("", "k3y", Answering(), "accountUrl", "missing"),
        (URL, "  ", Answering(), "apiKey", "missing"),
        (URL, "k3y", Answering(403, b'{"message":"Forbidden"}'), "apiKey", "refuses the API key"),
        (URL, "k3y", Answering(200, b"<html>Log in</html>"), "accountUrl", "web page"),
        (URL, "k3y", Answering(200, b""), "accountUrl", "web page"),
        (URL, "k3y", Answering(404, b"{}"), "accountUrl", "no ActiveCampaign API"),
        (URL, "k3y", Answering(301, b""), "accountUrl", "account URL"),
        (URL, "k3y", Answering(error=DeliveryError("The address is forbidden.")), "accountUrl", "forbidden"),
    ],
    ids=["plain http", "no address", "no key", "bad key", "html", "empty", "no api", "elsewhere", "forbidden address"],
)
async def test_what_is_wrong_is_named(url, key, http, field, words):
    with pytest.raises(InvalidRequestError, match=words) as refusal:
        await checked(http, Budgets(), url, key)
    assert refusal.value.field == field
    assert "k3y" not in str(refusal.value)


@pytest.mark.parametrize(
    "http", [Answering(error=RetryableError("no route")), Answering(502, b"<html>")], ids=["network", "5xx"]
)
async def test_an_account_that_does_not_answer_now_is_no_mistake_of_the_user(http):
    with pytest.raises(RetryableError, match=f"{URL} does not answer: .* Check the account URL, or try again"):
        await checked(http, Budgets(), URL, "k3y")


def test_both_hosts_of_an_account_share_its_budget_and_two_simulators_do_not():
    budgets = Budgets()
    here, there = normalised("https://acme.api-us1.com"), normalised("https://acme.activehosted.com/api/3")
    assert budget_of(budgets, here) is budget_of(budgets, there)
    assert budget_of(budgets, here) is not budget_of(budgets, normalised("https://other.api-us1.com"))
    one, two = normalised("http://127.0.0.1:9001"), normalised("http://127.0.0.1:9002")
    assert budget_of(budgets, one) is not budget_of(budgets, two)
