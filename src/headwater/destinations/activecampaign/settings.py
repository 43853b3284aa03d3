"""What a user fills in for an ActiveCampaign destination."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from headwater.destinations.contract import setting


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the account is, and what is done where ActiveCampaign leaves a choice."""

    api_url: str = field(
        metadata=setting("API URL", "From ActiveCampaign's Settings, Developer, such as https://acme.api-us1.com.")
    )
    api_key: str = field(
        repr=False, metadata=setting("API key", "From ActiveCampaign's Settings, Developer.", secret=True)
    )
    event_key: str = field(
        default="",
        repr=False,
        metadata=setting(
            "Event key",
            "For track calls: from ActiveCampaign's Website, Site tracking, Event tracking.",
            secret=True,
            required=False,
        ),
    )
    actid: str = field(
        default="",
        metadata=setting(
            "Tracking id (actid)", "For track and page calls: the number beside the event key.", required=False
        ),
    )
    require_name: bool = field(
        default=True,
        metadata=setting(
            "Names only", "Create a contact only if the call has a name as well, as Segment does.", required=False
        ),
    )
    user_id_field: str = field(
        default="",
        metadata=setting(
            "User id field",
            "Custom field (its number or %TAG%) that keeps the userId; none where it is empty.",
            required=False,
        ),
    )
    long_names: Literal["truncate", "reject", "hash-suffix"] = field(
        default="truncate",
        metadata=setting(
            "Long event names",
            "Names of more than 32 characters are cut (truncate), refused (reject), or cut with a short hash"
            " that tells them apart (hash-suffix).",
            required=False,
        ),
    )
    create_events: bool = field(
        default=True,
        metadata=setting("Create events", "Add event names that ActiveCampaign does not know yet.", required=False),
    )
    resubscribe: bool = field(
        default=False,
        metadata=setting(
            "Subscribe again", "Put contacts back on lists that they have left. Ask for their consent.", required=False
        ),
    )
    group_conflict: Literal["keep", "move"] = field(
        default="keep",
        metadata=setting(
            "Second company",
            "A contact has one account: keep the one it has, or move it to the one of the call.",
            required=False,
        ),
    )
    bulk_import: bool = field(
        default=True,
        metadata=setting(
            "Bulk import", "Send ten and more contacts at once through ActiveCampaign's import.", required=False
        ),
    )
    delete_contacts: bool = field(
        default=False,
        metadata=setting(
            "Delete contacts",
            "Delete the contact when a person is deleted here. Nobody then knows that they had unsubscribed.",
            required=False,
        ),
    )
    tracking_url: str = field(
        default="https://trackcmp.net",
        metadata=setting("Tracking URL", "Where events and visits are sent; another one for tests.", required=False),
    )
