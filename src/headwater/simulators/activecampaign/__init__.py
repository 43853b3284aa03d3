"""A made-up ActiveCampaign account: sends campaigns, posts webhooks, and its people shop.

A program of its own that speaks HTTP only. What it does follows from its seed: the same seed gives the same people,
the same campaigns and the same happenings, kept in a ledger that tests compare with what arrived.
"""
