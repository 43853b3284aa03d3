"""What has been told before: the ledger of occurrences, and which telling is new."""
