"""The models' figures counted again in plain Python, from the rows of a warehouse's tables and the documented rules."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
Figures = dict[tuple[Any, ...], tuple[Any, ...]]

KINDS = {
    "email_delivered": "delivered",
    "email_opened": "opened",
    "email_link_clicked": "clicked",
    "email_unsubscribed": "unsubscribed",
    "email_bounced": "bounced",
    "email_marked_as_spam": "spam",
}
NOBODY = {"", "0", "-1", "null", "none", "nil", "nan", "undefined", "unknown", "anonymous", "guest", "true", "false"}
NUMBER = re.compile(r"\s*[+-]?\d+(\.\d*)?([eE][+-]?\d{1,2})?\s*", re.ASCII)


def id_of(value: str | None) -> str | None:
    return None if value is None or value.strip().lower() in NOBODY else value.strip()


def address_of(value: str | None) -> str | None:
    return value.strip().lower() if value and re.match(r".+@.+", value.strip()) else None


def amount_of(value: Any) -> Decimal | None:
    if value is None or not NUMBER.fullmatch(str(value)):
        return None
    amount = Decimal(str(value).strip())
    return amount if abs(amount) < 10**14 else None


@dataclass
class Email:
    source: str
    kind: str
    row: Row
    key: str = ""
    recipient: str | None = None

    @property
    def at(self) -> Any:
        return self.row["timestamp"]

    @property
    def campaign(self) -> tuple[str, Any]:
        return (self.source, self.row.get("campaign_id"))

    @property
    def times(self) -> int:
        return max(self.row.get("occurrences") or 1, 1)

    @property
    def by_machine(self) -> bool:
        return self.row.get("is_machine_open") is True


@dataclass
class Product:
    source: str
    event: str
    row: Row
    key: str | None


@dataclass
class World:
    """Everything that can be asked of the rows of some schemas."""

    rows: dict[tuple[str, str], list[Row]]
    email: tuple[str, ...]
    product: tuple[str, ...]
    conversions: tuple[str, ...] = ("order_completed",)
    revenue: tuple[str, ...] = ("revenue", "total", "value")
    window_days: int = 7
    emails: list[Email] = field(default_factory=list)
    persons: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for (schema, table), rows in self.rows.items():
            if schema in self.email and table in KINDS:
                self.emails += [self._email(schema, KINDS[table], row) for row in rows]
        self.persons = People(self).persons()

    def _email(self, source: str, kind: str, row: Row) -> Email:
        contact, user, visitor = (id_of(row.get(name)) for name in ("contact_id", "user_id", "anonymous_id"))
        address = address_of(row.get("context_traits_email")) or address_of(row.get("anonymous_id"))
        ids = {"user": user, "email": address, "contact": contact and f"{source}:{contact}", "anonymous": visitor}
        key = next((f"{name}:{value}" for name, value in ids.items() if value), "")
        return Email(source, kind, row, key, contact or address or user or visitor)

    def products(self, table: str) -> Iterator[Product]:
        """Yield the rows of a table of every product, with who did it."""
        for source in self.product:
            for row in self.rows.get((source, table), []):
                user, visitor = id_of(row.get("user_id")), id_of(row.get("anonymous_id"))
                address = address_of(visitor)
                key = f"user:{user}" if user else f"email:{address}" if address else visitor and f"anonymous:{visitor}"
                yield Product(source, row.get("event") or table, row, key)

    def amount(self, product: Product) -> Decimal | None:
        found = (amount_of(product.row.get(name)) for name in self.revenue)
        return next((amount for amount in found if amount is not None), None)

    def last_click(self, product: Product) -> Email | None:
        """Return the last click of the person before it: a search through all of them, as slow as it is plain."""
        person = self.persons.get(product.key or "")
        window, happened = timedelta(days=self.window_days), product.row["timestamp"]
        clicks = [email for email in self.clicks_of.get(person or "", []) if email.at <= happened <= email.at + window]
        return max(clicks, key=lambda email: (email.at, email.row["received_at"], email.row["id"]), default=None)

    @property
    def clicks_of(self) -> dict[str, list[Email]]:
        if not hasattr(self, "_clicks"):
            self._clicks = defaultdict(list)
            for email in self.emails:
                if email.kind == "clicked" and not email.by_machine and email.campaign[1] is not None and email.key:
                    self._clicks[self.persons[email.key]].append(email)
        return self._clicks

    def attributed(self, products: Iterable[Product]) -> Figures:
        """Return product event -> campaign and click, None for none."""
        found: Figures = {}
        for product in products:
            click = self.last_click(product)
            found[product.source, product.row["id"]] = (
                (*click.campaign, click.row["id"]) if click else (None, None, None)
            )
        return found

    def converted(self) -> dict[tuple[Any, ...], list[Product]]:
        """Return the conversions of each campaign; those of none under (None, None)."""
        found = defaultdict(list)
        for name in self.conversions:
            for product in self.products(name):
                click = self.last_click(product)
                found[click.campaign if click else (None, None)].append(product)
        return found

    def reached(self) -> dict[tuple[Any, ...], dict[str, set[str]]]:
        """Return who did what in each campaign: sets of recipients."""
        messages = defaultdict(list)
        for email in self.emails:
            if email.recipient and email.campaign[1] is not None:
                messages[*email.campaign, email.row.get("email_id"), email.recipient].append(email)
        found: dict[tuple[Any, ...], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for (source, campaign, _, recipient), emails in messages.items():
            read = {email.kind for email in emails if email.kind in {"opened", "clicked"} and not email.by_machine}
            kinds = {email.kind for email in emails}
            sets = found[source, campaign]
            sets["recipients"].add(recipient)
            if read or (kinds & {"delivered", "opened", "clicked"} and "bounced" not in kinds):
                sets["delivered"].add(recipient)
            if read:
                sets["opened"].add(recipient)
            for name in kinds & {"unsubscribed", "bounced", "spam"} | read & {"clicked"}:
                sets[name].add(recipient)
            if any(email.kind == "opened" and email.by_machine for email in emails):
                sets["machine"].add(recipient)
            if any(email.kind == "bounced" and email.row.get("bounce_type") == "hard" for email in emails):
                sets["hard"].add(recipient)
        return found

    def campaigns(self) -> Figures:
        converted = self.converted()
        return {
            campaign: (
                *(len(sets[name]) for name in ("recipients", "delivered", "opened")),
                len(sets["machine"] - sets["opened"]),
                len(sets["clicked"]),
                len({self.persons[product.key] for product in converted.get(campaign, [])}),
                len(converted.get(campaign, [])),
                float(sum((self.amount(product) or 0 for product in converted.get(campaign, [])), Decimal())),
                *(len(sets[name]) for name in ("unsubscribed", "bounced", "hard", "spam")),
                *(
                    sum(self._times(campaign, kind, by_machine=machine))
                    for kind, machine in (("opened", False), ("opened", True), ("clicked", False))
                ),
            )
            for campaign, sets in self.reached().items()
        }

    def _times(self, campaign: tuple[Any, ...], kind: str, *, by_machine: bool) -> Iterator[int]:
        for email in self.emails:
            if (email.campaign, email.kind, email.by_machine) == (campaign, kind, by_machine) and email.recipient:
                yield email.times

    def totals(self) -> tuple[Any, ...]:
        everybody: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for (source, _), sets in self.reached().items():
            for name, recipients in sets.items():
                everybody[name] |= {(source, recipient) for recipient in recipients}
        converted = self.converted()
        counted = [product for campaign, products in converted.items() if campaign[0] for product in products]
        every = [product for products in converted.values() for product in products]
        return (
            *(len(everybody[name]) for name in ("recipients", "delivered", "opened", "clicked")),
            len({self.persons[product.key] for product in counted}),
            len(counted),
            float(sum((self.amount(product) or 0 for product in counted), Decimal())),
            len(every),
            float(sum((self.amount(product) or 0 for product in every), Decimal())),
        )

    def funnel(self) -> Figures:
        """Return (source, campaign, step) -> people and events; product events from the tracks."""
        found: Figures = {}
        reached = self.reached()
        for campaign, sets in reached.items():
            for step in ("delivered", "opened", "clicked"):
                found[*campaign, step] = (len(sets[step]), len(sets[step]))
        followed = defaultdict(list)
        for product in self.products("tracks"):
            if (click := self.last_click(product)) and click.campaign in reached:
                followed[*click.campaign, product.event].append(self.persons[product.key])
        return found | {step: (len(set(people)), len(people)) for step, people in followed.items()}

    def opens(self) -> Figures:
        found = defaultdict(list)
        for email in self.emails:
            if email.kind == "opened" and email.campaign[1] is not None:
                flag = email.row.get("is_machine_open")
                by = "unknown" if flag is None else email.row.get("machine_reason") or "machine" if flag else "human"
                found[*email.campaign, by].append(email)
        return {
            key: (len({email.recipient for email in emails if email.recipient}), sum(email.times for email in emails))
            for key, emails in found.items()
        }

    def days(self) -> Figures:
        rules: tuple[Callable[[Email], bool], ...] = (
            lambda email: email.kind == "delivered",
            lambda email: email.kind == "opened" and not email.by_machine,
            lambda email: email.kind == "opened" and email.by_machine,
            lambda email: email.kind == "clicked" and not email.by_machine,
            lambda email: email.kind == "clicked" and email.by_machine,
            lambda email: email.kind == "bounced" and email.row.get("bounce_type") == "hard",
            lambda email: email.kind == "bounced" and email.row.get("bounce_type") != "hard",
            lambda email: email.kind == "spam",
        )
        by_day = defaultdict(list)
        for email in self.emails:
            by_day[email.source, email.at.date()].append(email)
        return {
            day: (
                *(sum(map(rule, emails)) for rule in rules),
                len({e.row.get("unsubscribe_id") or e.row["id"] for e in emails if e.kind == "unsubscribed"}),
            )
            for day, emails in by_day.items()
        }

    def lists(self) -> Figures:
        """Return (source, list) -> contacts, active, unsubscribed, bounced, spam, never read."""
        members, left = defaultdict(set), defaultdict(set)
        marks: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for email in self.emails:
            who = (email.source, email.recipient)
            if not email.recipient:
                continue
            for each in ["*", *re.findall(r"\w+", email.row.get("list_ids") or "")]:
                members[email.source, each].add(who)
                if email.kind == "unsubscribed":
                    left[email.source, each].add(who)
            if email.kind == "spam" or (email.kind == "bounced" and email.row.get("bounce_type") == "hard"):
                marks[email.kind].add(who)
            if email.kind in {"opened", "clicked"} and not email.by_machine:
                marks["read"].add(who)
        found: Figures = {}
        for name, people in members.items():
            bad = left[name] | marks["spam"] | marks["bounced"]
            sets = (people, people - bad, people & left[name], people & marks["bounced"], people & marks["spam"])
            found[name] = (*map(len, sets), len(people - marks["read"]))
        return found


class People:
    """Which ids are one person: they are joined one after the other, and looked up through whom they were joined to."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._joined: dict[str, str] = {}
        self._first: dict[str, Any] = {}

    def persons(self) -> dict[str, str]:
        """Return id -> the oldest id of its person."""
        firsts: dict[tuple[str, str], tuple[Any, str]] = {}
        for arrived, user, address, contact, visitor in sorted(self._sightings(), key=lambda seen: seen[0]):
            known = [each for each in (user, address, contact) if each]
            for each in [*known, *([visitor] if visitor else [])]:
                self._first.setdefault(each, arrived)
                self._joined.setdefault(each, each)
            for one in known[1:]:
                self._join(known[0], one)
            for kind, each in (("user", user), ("email", address)):
                if visitor and each:
                    firsts.setdefault((visitor, kind), (arrived, each))
        for (visitor, _), (_, each) in firsts.items():
            self._join(visitor, each)
        self._rename()
        groups = defaultdict(set)
        for each in self._joined:
            groups[self._root(each)].add(each)
        strength = ("user", "email", "contact", "anonymous")
        oldest = {
            root: min(ids, key=lambda each: (self._first[each], strength.index(each.partition(":")[0]), each))
            for root, ids in groups.items()
        }
        return {each: oldest[self._root(each)] for each in self._joined}

    def _sightings(self) -> Iterator[tuple[Any, ...]]:
        for email in self._world.emails:
            user, contact = id_of(email.row.get("user_id")), id_of(email.row.get("contact_id"))
            address = address_of(email.row.get("context_traits_email")) or address_of(email.row.get("anonymous_id"))
            visitor = None if contact else id_of(email.row.get("anonymous_id"))
            yield self._seen(email.row, user, address, contact and f"{email.source}:{contact}", visitor)
        for source in (*self._world.email, *self._world.product):
            of_email = source in self._world.email
            tables = (
                ("identifies", "aliases")
                if of_email
                else ("tracks", "identifies", "pages", "groups", "screens", "aliases")
            )
            for table in tables:
                for row in self._world.rows.get((source, table), []):
                    names = (["email"] if table == "identifies" else []) + [
                        "context_traits_email",
                        "anonymous_id",
                        "user_id",
                    ]
                    found = (address_of(row.get(name)) for name in names)
                    address = next((each for each in found if each), None)
                    yield self._seen(row, id_of(row.get("user_id")), address, None, id_of(row.get("anonymous_id")))

    def _seen(self, row: Row, user: Any, address: Any, contact: Any, visitor: Any) -> tuple[Any, ...]:
        visitor = None if address_of(visitor) else visitor
        kinds = {"user": user, "email": address, "contact": contact, "anonymous": visitor}
        return (row["received_at"], *(value and f"{kind}:{value}" for kind, value in kinds.items()))

    def _rename(self) -> None:
        """Join users with what they were called before, where that was seen; a browser only with its oldest user."""
        of_visitor: dict[str, list[str]] = defaultdict(list)
        for source in (*self._world.email, *self._world.product):
            for row in self._world.rows.get((source, "aliases"), []):
                user, previous = id_of(row.get("user_id")), id_of(row.get("previous_id"))
                if not user or not previous:
                    continue
                for before in (f"user:{previous}", f"email:{previous.lower()}"):
                    if before in self._joined:
                        self._join(f"user:{user}", before)
                if f"anonymous:{previous}" in self._joined:
                    of_visitor[f"anonymous:{previous}"].append(f"user:{user}")
        for visitor, users in of_visitor.items():
            self._join(visitor, min(users, key=self._first.__getitem__))

    def _root(self, each: str) -> str:
        while self._joined[each] != each:
            each = self._joined[each]
        return each

    def _join(self, one: str, other: str) -> None:
        self._joined[self._root(one)] = self._root(other)
