"""Whatever people do in whatever order: one account a source, and an address for as long as one is needed."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.control.accounts import Place
from headwater.control.service import open_control
from headwater.errors import ConflictError, NotFoundError

PLACES = [Place(f"https://{name}.api-us1.com", name) for name in ("a", "b", "c")]
WORDS = ("connect", "move", "off", "on", "delete", "rotate", "rotate_now", "disable", "enable", "readdress")
STEPS = st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 2), st.integers(0, 2)), max_size=12)
numbers = itertools.count()


class Installation:
    """Three sources and up to three accounts; each step may be refused, and then changes nothing."""

    def __init__(self, directory):
        self.now = datetime(2026, 11, 23, tzinfo=UTC)
        self.control = open_control(f"sqlite:///{directory}/{next(numbers)}.db", b"k" * 32, clock=self.clock)
        self.home = self.control.workspaces.get().id
        types = ("activecampaign", "http-api", "http-api")
        self.sources = [
            self.control.sources.create(self.home, f"s{number}", type_).id for number, type_ in enumerate(types)
        ]

    def clock(self):
        self.now += timedelta(minutes=1)
        return self.now

    def step(self, word, source, place):
        accounts, control = self.control.accounts, self.control
        found = accounts.of_source(self.home, self.sources[source])
        if word in {"disable", "enable"}:
            control.sources.update(self.home, self.sources[source], enabled=word == "enable")
        elif word == "connect":
            accounts.connect(self.home, PLACES[place], api_key="k", source_id=self.sources[source])
        elif found is None:
            raise NotFoundError
        elif word == "delete":
            accounts.delete(self.home, found.id)
        elif word == "move":
            accounts.update(self.home, found.id, source_id=self.sources[place])
        elif word == "readdress":
            accounts.update(self.home, found.id, place=PLACES[place])
        elif word in {"off", "on"}:
            accounts.update(self.home, found.id, enabled=word == "on")
        else:
            accounts.rotate_secret(self.home, found.id, at_once=word == "rotate_now")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_no_order_of_changes_leaves_an_account_without_a_place_or_an_address_without_an_account(tmp_path, steps):
    installation = Installation(tmp_path)
    control = installation.control
    known = set()
    for step in steps:
        before = control.snapshot()
        try:
            installation.step(*step)
        except (ConflictError, NotFoundError):
            assert control.snapshot() == before
        snapshot = control.snapshot()
        by_source = {each.source_id: each for each in snapshot.accounts}
        assert len(by_source) == len({each.url for each in snapshot.accounts}) == len(snapshot.accounts)
        for source in snapshot.sources:
            account = by_source.get(source.id)
            assert bool(source.webhook_secret) == (source.type == "activecampaign" or account is not None)
            assert account is None or account.active == (account.enabled and source.enabled)
        present = [source.webhook_secret for source in snapshot.sources if source.webhook_secret]
        working = [secret for source in snapshot.sources for secret in source.webhook_secrets(installation.now)]
        assert len(set(working)) == len(working)  # no two sources share an address, ever
        if step[0] != "rotate_now":
            assert known <= set(working)  # what is on its way to the present address is still taken
        known = set(present)
    control.close()
