"""Headwater: the self-hosted, Segment-compatible home of ActiveCampaign email events."""

__version__ = "0.1.0"
