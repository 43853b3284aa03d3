"""The account's API as it answers outside: v3, the reports of v1, and the trackers."""
