"""ActiveCampaign's API as the source and the destination use it: one client, one budget an account, one patience."""
