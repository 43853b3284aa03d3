"""How the destination presents itself; the tables that the code works with are shown as they are."""

from __future__ import annotations

from typing import Final

from headwater.destinations.activecampaign.traits import BASICS
from headwater.destinations.contract import Card, Rule
from headwater.spec.event import Call

_WHO: Final = "The call's own address, else that of the person's latest identify call, else the user id field's."

CARD: Final = Card(
    name="ActiveCampaign",
    description="Keeps contacts up to date, tracks their events and page visits, and ties them to their companies.",
    calls=frozenset(Call) - {Call.SCREEN},
    categories=("Email Marketing", "CRM"),
    id="55d66bb5ebe537b09c977fa3",
    ordered=True,
    concurrency=1,
    api="https://developers.activecampaign.com/reference/overview",
    mapping=(
        Rule("identify", "traits.email, context.traits.email", "contact", "Created or changed by its address."),
        *(Rule("identify", ", ".join(f"traits.{key}" for key in keys), name) for name, keys in BASICS.items()),
        Rule("identify", "traits.name", "firstName, lastName", "Split at its first space, where neither is given."),
        Rule("identify", "traits.tags", "tags", "Added; a tag that is new is created."),
        Rule("identify", "traits.tagsReset", "tags", "With `1`, all tags are taken away first."),
        Rule("identify", "traits.lists", "lists", "`[{id, status}]`, the status is `active` or `unsubscribed`."),
        Rule(
            "identify",
            "other traits",
            "custom fields",
            "By tag or title in any spelling: `shirtSize` fills `%SHIRT_SIZE%`; an array becomes several choices.",
        ),
        Rule("identify", "userId", "the custom field of the settings", "Only where one is set."),
        Rule("track", "event", "tracked event", "At most 32 characters; created where it is new."),
        Rule("track", "properties.acValue", "eventdata"),
        Rule("track, page", "properties.email, context.traits.email", "visit.email, e", _WHO),
        Rule("page", "properties.url, context.page.url", "u"),
        Rule("page", "properties.referrer, context.page.referrer", "r"),
        Rule("group", "traits.name, groupId", "account.name", "The account of exactly this name, or a new one."),
        Rule("group", "traits", "account.fields", "By the label of the account's custom fields, in any spelling."),
        Rule("group", "context.traits.email, userId", "accountContact", "Ties the contact to the account."),
        Rule(
            "alias", "previousId, userId", "contact.email", "Where both stand for an address, and the new one is free."
        ),
    ),
    notes=(
        "Segment calls the two settings `apiKey` and `apiSecret`; the latter is the API URL.",
        (
            "A contact is created only with an address and a first or last name, as in Segment; the setting Names "
            "only lifts that."
        ),
        (
            "A custom field has to exist. One that is called like a reserved trait (email, firstName, lastName, "
            "phone, tags, tagsReset, lists) is never written, and traits without a field are ignored."
        ),
        (
            "Segment writes the userId into a field that ActiveCampaign documents as readable only. Headwater "
            "writes it into a custom field of your choice, and finds contacts by it."
        ),
        (
            "Who has left a list is not put back on it unless the setting Subscribe again is on; such a call is "
            "counted as filtered, with the reason."
        ),
        "A wrong entry of `lists` makes a dead letter with the reason; everything else of the call is done.",
        (
            "Ten and more contacts at once go through ActiveCampaign's import, which takes them over and works "
            "them off within minutes: delivered means taken over. Calls with `tagsReset`, that subscribe to a "
            "list, without a name, or with other calls of the same person in the same batch are sent one by one."
        ),
        (
            "Tracked events have no time but their arrival, and no id: after a crash or a lost answer one may be "
            "tracked twice. Everything else may be repeated without harm."
        ),
        (
            "While event tracking or site tracking is off, or their keys are missing, the calls become dead "
            "letters that say so; retry them once it is on."
        ),
        "An event without any known address becomes a dead letter; it is not tried again.",
        (
            "All requests share the account's 5 a second with an ActiveCampaign source of the same account, and a "
            "pause that the service asks for holds for both."
        ),
        (
            "Events that come from the same account's ActiveCampaign source are not sent back to it. The account "
            "is recognised by the source's setting Account, which is the name in its URL; where that is empty, no "
            "ActiveCampaign event is sent."
        ),
    ),
)
