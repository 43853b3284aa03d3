"""What the account sends: newsletters, offers, reminders, each with its links, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Final

from headwater.simulators.activecampaign.settings import Settings

LISTS: Final = {1: "Newsletter", 3: "Offers, VIP"}
PRODUCTS: Final = (
    ("tea-01", "Sencha, 100 g", 9.5),
    ("tea-02", "Assam 茶", 8.0),
    ("cof-01", "Filter Coffee", 12.9),
    ("cup-01", "Cup “Morning”", 18.0),
    ("grd-01", "Hand Grinder", 79.0),
)
SHOP: Final = "https://shop.example.com"

_THEMES: Final = (
    ("Weekly News", "☕ This week: {product}", 1),
    ("Spring Sale", "20 % off {product} — today only", 3),
    ("New Arrivals", "Just in: {product}", 1),
    ("Restock", "Back in stock: {product}", 1),
    ("VIP Evening", "%FIRSTNAME%, an evening with {product}", 3),
    ("Cart Reminder", "Did you forget {product}?", 1),
)
_AUDIENCE: Final = 0.7  # share of the contacts a campaign goes to

# Live, an hour of a person's life passes in a minute, and a campaign goes out each minute: about ten webhooks a second
# without end, so that there is always something to watch.
_LIVE_EVERY_S: Final = 60.0
_LIVE_TEMPO: Final = 1 / 60
_LIVE_AUDIENCE: Final = 0.45


@dataclass(frozen=True, slots=True)
class Link:
    """A tracked link and the product it leads to."""

    id: int
    url: str
    product: tuple[str, str, float]


@dataclass(frozen=True, slots=True)
class Message:
    """One email of a campaign."""

    id: int
    subject: str


@dataclass(frozen=True, slots=True)
class Campaign:
    """One send.

    Attributes:
        messages: its email; two in a split test.
        at: plan second at which it goes out.
        tempo: factor on how long people take to react.
        audience: how many get it, at most.
        is_tracked: whether it measures opens and clicks.
    """

    id: int
    messages: tuple[Message, ...]
    name: str
    list_id: int
    links: tuple[Link, ...]
    at: float
    tempo: float
    audience: int
    is_tracked: bool = True

    @property
    def type(self) -> str:
        """What the service calls it."""
        return "split" if len(self.messages) > 1 else "single"

    def message(self, contact_id: int) -> Message:
        """Return the email that a contact gets, the first for 0."""
        return self.messages[contact_id % len(self.messages)]


def campaigns(settings: Settings) -> Iterator[Campaign]:
    """Yield every campaign in the order sent: those of the history, evenly spread, then the live ones."""
    for number in range(settings.history_campaigns):
        at = number * settings.history_s / settings.history_campaigns
        yield _campaign(settings, number, at, tempo=1.0, share=_AUDIENCE)
    live = count() if settings.live_campaigns is None else range(settings.live_campaigns)
    for number in live:
        at = settings.history_s + number * _LIVE_EVERY_S
        yield _campaign(settings, settings.history_campaigns + number, at, tempo=_LIVE_TEMPO, share=_LIVE_AUDIENCE)


def _campaign(settings: Settings, number: int, at: float, *, tempo: float, share: float) -> Campaign:
    number += settings.first_campaign - 1
    chance = Random(f"{settings.seed}:campaign:{number}")
    theme, subject, list_id = _THEMES[number % len(_THEMES)]
    shown = chance.sample(PRODUCTS, 3)
    switches = settings.switches
    long_url_chars = switches.long_url_chars
    if settings.recipients is not None:
        list_id = 1  # everybody is on it, so that there are enough
    links = tuple(
        Link(
            id=number * 10 + place + 1,
            url=_url(product[0], theme, long_url_chars if place == len(shown) - 1 else 0),
            product=product,
        )
        for place, product in enumerate(shown)
    )
    subjects = [subject.format(product=shown[0][1])]
    if chance.random() < switches.splits:
        subjects.append(f"%FIRSTNAME%: {subject.format(product=shown[1][1])}")
    return Campaign(
        id=number + 1,
        messages=tuple(Message(1_000 + number + 500_000 * place, text) for place, text in enumerate(subjects)),
        name=f"{theme} #{number // len(_THEMES) + 1}",
        list_id=list_id,
        links=links,
        at=at,
        tempo=tempo,
        audience=settings.recipients or max(int(settings.contacts * share), 1),
        is_tracked=chance.random() >= switches.untracked,
    )


def _url(product_id: str, theme: str, long_url_chars: int) -> str:
    """Return a link with what breaks careless parsers: `&`, `=`, an escaped percent sign, brackets, a fragment."""
    campaign = theme.lower().replace(" ", "-")
    url = f"{SHOP}/p/{product_id}?utm_source=activecampaign&utm_campaign={campaign}&off=20%25&v[]=1#top"
    return url + "x" * max(long_url_chars - len(url), 0)
