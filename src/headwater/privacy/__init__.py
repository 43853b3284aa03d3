"""Who a person is in events: identifiers, their keyed hashes, and who is suppressed. Pure: no log, no database."""
