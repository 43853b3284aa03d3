"""ActiveCampaign: contacts, their tags, lists and fields, events and site visits, and the companies they belong to.

Source: Segment, ActiveCampaign destination (what each call does there); ActiveCampaign, API v3 reference (contacts,
tags, lists, custom fields, accounts, bulk import, event tracking) and Contact Event Tracking API Guide.
"""

from headwater.destinations.activecampaign.card import CARD
from headwater.destinations.activecampaign.destination import Destination
from headwater.destinations.activecampaign.settings import Settings

__all__ = ["CARD", "Destination", "Settings"]
