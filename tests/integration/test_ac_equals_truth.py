"""The warehouse equals what really happened, for every pair of settings of everything that is not certain.

The whole program against simulated accounts over HTTP: webhooks are doubled, overtake each other and get lost, then the
reconciliation is asked for. Each combination is an account and a source of its own, all connected to one Headwater.
"""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations
from random import Random

import pytest

from account import SimulatedAccount, connect, run_to_its_end, status, within
from program import Program
from truth import differences, expected, in_a_hurry, stored

SWITCHES: dict[str, tuple[str, ...]] = {
    "repeats": ("first", "every"),
    "lists": ("indexed", "scalar"),
    "unsubscribe-lists": ("repeated", "indexed", "scalar"),
    "unsubscribes": ("twice", "once"),
    "campaign-block": ("name", "id", "full"),
    "message-ids": ("present", "absent"),
    "click-agents": ("absent", "present"),
    "field-keys": ("numeric", "perstag"),
    "complaints": ("unsubscribe", "nothing"),
    "apple-privacy": ("sent", "silent"),
    "times": ("central", "naive", "fixed"),
    "report-page": ("20", "100", "0"),
    "delays": ("0", "0.1"),
    "scanners": ("0", "0.02"),
    "email-changes": ("0", "0.02"),
    "deletions": ("0", "0.01"),
    "admin-unsubscribes": ("0", "0.01"),
    "splits": ("0", "0.6"),
    "untracked": ("0", "0.3"),
    "server-errors": ("0", "0.03"),
    "html-answers": ("0", "0.03"),
    "refusals": ("0", "0.03"),
}
Pair = tuple[str, str, str, str]
ALWAYS = ("--duplicates", "0.05", "--reorders", "0.3", "--losses", "0.02")

RECIPIENTS = int(os.environ.get("TRUTH_RECIPIENTS", "100"))
CAMPAIGNS = int(os.environ.get("TRUTH_CAMPAIGNS", "2"))
SPEED = os.environ.get("TRUTH_SPEED", "120")
HURRIED_MAX = 0.001  # people who came during a campaign that takes seconds, at an account that answers 500 and 403
PATIENCE_S = 300.0 + RECIPIENTS * CAMPAIGNS / 20


def pairwise(factors: dict[str, tuple[str, ...]]) -> list[dict[str, str]]:
    """Return rows in which every two values of every two factors stand together at least once, the same always."""
    chance, names = Random(3), list(factors)
    left = {
        (one, first, other, second)
        for one, other in combinations(names, 2)
        for first in factors[one]
        for second in factors[other]
    }
    rows: list[dict[str, str]] = []
    while left:
        row = max((_row(chance, factors, left) for _ in range(40)), key=lambda each: len(pairs_of(each) & left))
        left -= pairs_of(row)
        rows.append(row)
    return rows


def pairs_of(row: dict[str, str]) -> set[Pair]:
    return {(one, row[one], other, row[other]) for one, other in combinations(SWITCHES, 2)}


def _row(chance: Random, factors: dict[str, tuple[str, ...]], left: set[Pair]) -> dict[str, str]:
    """Return a row that begins with a pair which is left, each further value the one that covers most."""
    one, first, other, second = chance.choice(sorted(left))
    row = {one: first, other: second}
    for name in chance.sample(list(factors), len(factors)):
        if name not in row:
            values = chance.sample(factors[name], len(factors[name]))
            row[name] = max(values, key=partial(_gain, row, left, name))
    return row


def _gain(row: dict[str, str], left: set[Pair], name: str, value: str) -> int:
    return sum((each, row[each], name, value) in left or (name, value, each, row[each]) in left for each in row)


ROWS = pairwise(SWITCHES)


def options(row: dict[str, str]) -> list[str]:
    return [text for name, value in row.items() for text in (f"--{name}", value)]


def test_every_pair_of_settings_stands_in_some_combination():
    together = set[Pair]().union(*map(pairs_of, ROWS))
    for one, other in combinations(SWITCHES, 2):
        for first in SWITCHES[one]:
            for second in SWITCHES[other]:
                assert (one, first, other, second) in together


def play(program: Program, number: int, row: dict[str, str]) -> list[str]:
    """Connect one account, let its campaigns go out, reconcile; return what is wrong in the warehouse."""
    slug = f"mail-{number}"
    source = program.source(slug, "activecampaign")
    plan = ("--seed", str(number + 1), "--history-campaigns", "0", "--live-campaigns", str(CAMPAIGNS), "--paused")
    people = ("--contacts", str(RECIPIENTS * 5 // 4), "--recipients", str(RECIPIENTS), "--speed", SPEED)
    with SimulatedAccount(*plan, *people, *ALWAYS, *options(row)) as account:
        repeats = row["repeats"] == "every"
        settings = {
            "account": "acme",
            "delivered_hold_h": 0,
            "backfill_repeats": repeats,
            "merge_unsubscribes_s": 3,
            "match_tolerance_s": 0,  # time runs so fast here that repeats follow within seconds
        }
        connection = connect(program, account, source, settings)
        within(60, lambda: status(program, connection)["state"] == "waiting", "not ready for the first event")
        contacts = RECIPIENTS * 5 // 4  # who they are is read first: here a whole campaign happens within seconds
        within(PATIENCE_S, lambda: status(program, connection)["identities"]["known"] >= contacts, "contacts not read")
        account.begin()
        account.wait_until_played(PATIENCE_S)
        program.api("POST", "/warehouses/embedded/sync", {"wait": True})
        wanted = expected(account.truth(), account="acme")
        wrong: list[str] = []
        schema = slug.replace("-", "_")
        for _ in range(4):  # a pass may leave to the next what moved while it was read
            run_to_its_end(program, connection, "reconcile", patience_s=PATIENCE_S)
            program.api("POST", "/warehouses/embedded/sync", {"wait": True})
            wrong = differences(wanted, stored(program.data_dir, schema), repeats=repeats)
            if not wrong:
                break
        rows = [row for each in stored(program.data_dir, schema).values() for row in each]
        hurried = sum(map(in_a_hurry, rows))
        if hurried > len(rows) * HURRIED_MAX:
            wrong.append(f"{hurried} of {len(rows)} rows have the e-mail because the account did not answer in time")
        return wrong


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    with Program(tmp_path_factory.mktemp("truth") / "data", allow_networks="127.0.0.0/8") as running:
        yield running


def judge(program: Program, rows: list[dict[str, str]], first: int = 0) -> None:
    with ThreadPoolExecutor(len(rows)) as threads:
        played = list(threads.map(lambda pair: play(program, *pair), enumerate(rows, first)))
    wrong = {str(row): found for row, found in zip(rows, played, strict=True) if found}
    with contextlib.suppress(KeyError):
        wrong["the server's log"] = [(program.data_dir / "serve.log").read_text()[-2000:]] if wrong else wrong["-"]
    assert not wrong, "\n".join(f"{row}\n  " + "\n  ".join(found) for row, found in wrong.items())


@pytest.mark.timeout(900)
@pytest.mark.parametrize("half", [0, 1])
def test_the_warehouse_equals_the_truth_for_every_pair_of_settings(program, half):
    rows = ROWS[half::2]
    judge(program, rows, first=100 * half)


@pytest.mark.torture
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("number", range(len(ROWS)))
def test_the_warehouse_equals_the_truth_at_scale(program, number):
    """With TRUTH_RECIPIENTS=50000 TRUTH_CAMPAIGNS=5 TRUTH_SPEED=20: one combination after the other."""
    judge(program, [ROWS[number]], first=1000 + number)
