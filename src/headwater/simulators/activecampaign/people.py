"""The account's contacts: names from all over the world, odd addresses, habits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final

FIELD_TAGS: Final = {"1": "SHIRT_SIZE", "4": "CITY", "7": "INTERESTS"}
"""Custom fields: number and personalisation tag."""

_NAMES: Final = (
    ("Ada", "Ferreira", "ada.ferreira"),
    ("Björn", "Øster", "bjoern.oester"),
    ("Chloé", "D'Arcy-Dubois", "chloe.darcy"),
    ("Daniel 🎸", "Okafor", "daniel.okafor"),
    ("美咲", "佐藤", "misaki.sato"),
    ("伟", "王", "wei.wang"),
    ("지우", "김", "jiwoo.kim"),
    ("ליאור", "כהן", "lior.cohen"),
    ("فاطمة", "الزهراء", "fatima.zahra"),
    ("Zoë", "Nguyễn", "zoe.nguyen"),
    ("Σοφία", "Παπαδοπούλου", "sofia.papa"),
    ("Иван", "Петров", "ivan.petrov"),
    ("Grace", "Mbeki", "grace.mbeki"),
    ("José María", "Núñez & Sons", "jose.nunez"),
    ("Priya", "Raman", "priya.raman"),
    ("Tom", "O'Neil", "tom.oneil"),
    ("Lena", "Große", "lena.grosse"),
    ("👩‍🚀 Sam", "", "sam"),
    ("", "", "hello"),
)
_DOMAINS: Final = ("example.com", "example.org", "example.net", "mail.example.com", "shop.example.org")
TAGS: Final = ("customer", "newsletter", "vip, gold", "lead [spring]", "size/L", "früh dran", "wholesale")
_SIZES: Final = ("S", "M", "L", "XL")
_CITIES: Final = ("Lisboa", "Malmö", "大阪", "Chicago", "Thessaloniki", "القاهرة")
_INTERESTS: Final = ("tea", "coffee, filter", "cups", "grinders")
_AGENTS: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Microsoft Outlook 16.0.17628) AppleWebKit/537.36",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.12.0",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile Safari/537.36",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
)
_APPLE_SHARE: Final = 0.3
_NO_EMAIL_SHARE: Final = 0.001
_PLUS_SHARE: Final = 0.08
_ON_SECOND_LIST_SHARE: Final = 0.4


@dataclass(frozen=True, slots=True)
class Contact:
    """One person on the lists.

    Attributes:
        user_id: who it is in the shop.
        knows_user: 0..1; below the share that is asked for, the account knows the `user_id`, too.
        scans: 0..1; below the share that is asked for, a gateway follows the links of its mail.
        turns: 0..1; decides when it changes its address or is deleted, if at all.
        agent: the mail program, as an open shows it.
        on_apple: its opens go through Apple's privacy proxy.
        interest: chance to open an email, 0..1.
    """

    id: int
    email: str
    first_name: str
    last_name: str
    phone: str
    tags: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]
    list_ids: tuple[int, ...]
    user_id: str
    agent: str
    on_apple: bool
    interest: float
    knows_user: float
    scans: float
    turns: float


def contact(seed: int, id_: int) -> Contact:
    """Return the contact with this number; depends on nothing but seed and number."""
    chance = Random(f"{seed}:contact:{id_}")
    first_name, last_name, local = chance.choice(_NAMES)
    plus = f"+{chance.choice(('news', 'shop', 'list'))}" if chance.random() < _PLUS_SHARE else ""
    email = f"{local}.{id_}{plus}@{chance.choice(_DOMAINS)}"
    return Contact(
        id=id_,
        email="" if chance.random() < _NO_EMAIL_SHARE else email,
        first_name=first_name,
        last_name=last_name,
        phone=f"+1 555 {id_ % 10_000:04}" if chance.random() < 1 / 3 else "",
        tags=tuple(chance.sample(TAGS, chance.randrange(4))),
        fields=_fields(chance),
        list_ids=(1, 3) if chance.random() < _ON_SECOND_LIST_SHARE else (1,),
        user_id=f"user-{seed}-{id_}",
        agent=chance.choice(_AGENTS),
        on_apple=chance.random() < _APPLE_SHARE,
        interest=chance.betavariate(1.6, 4.2),
        knows_user=chance.random(),
        scans=chance.random(),
        turns=chance.random(),
    )


def _fields(chance: Random) -> tuple[tuple[str, str], ...]:
    interests = chance.sample(_INTERESTS, chance.randrange(3))
    return (
        ("1", chance.choice(_SIZES)),
        ("4", chance.choice(_CITIES)),
        ("7", f"||{'||'.join(interests)}||" if interests else ""),
    )


class Population:
    """Everybody the account ever knew, and who is on its lists now: who leaves makes room for a new contact."""

    def __init__(self, seed: int, count: int) -> None:
        self._seed = seed
        self._known = [contact(seed, id_) for id_ in range(1, count + 1)]
        self._members = list(self._known)

    def __len__(self) -> int:
        """Return how many contacts there ever were; their ids are 1 to this number."""
        return len(self._known)

    def get(self, id_: int) -> Contact | None:
        """Return a contact, whether or not it is still on a list."""
        return self._known[id_ - 1] if 0 < id_ <= len(self._known) else None

    def __getitem__(self, id_: int) -> Contact:
        """Return a contact that there is."""
        return self._known[id_ - 1]

    def add(self, email: str) -> int:
        """Add a contact that is on no list, and return its id."""
        id_ = len(self._known) + 1
        made = replace(contact(self._seed, id_), email=email, first_name="", last_name="", phone="", knows_user=1.0)
        self._known.append(replace(made, tags=(), fields=(), list_ids=()))
        return id_

    def change(self, changed: Contact) -> None:
        """Make a contact like this from now on."""
        self._known[changed.id - 1] = changed
        for place, member in enumerate(self._members):
            if member.id == changed.id:
                self._members[place] = changed

    def audience(self, chance: Random, list_id: int, count: int) -> list[Contact]:
        """Return up to `count` different members of a list."""
        members = [member for member in self._members if list_id in member.list_ids]
        return chance.sample(members, min(count, len(members)))

    def replace(self, gone: set[int]) -> list[Contact]:
        """Take these contacts off the lists and return those who came instead."""
        came = []
        for place, member in enumerate(self._members):
            if member.id in gone:
                self._members[place] = contact(self._seed, len(self._known) + 1)
                self._known.append(self._members[place])
                came.append(self._members[place])
        return came
