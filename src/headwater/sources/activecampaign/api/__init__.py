"""ActiveCampaign's API: where an account is, how it is called within its limit, and what its answers hold."""
