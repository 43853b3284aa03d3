"""What a webhook or a row of a report means: drafts of events. Pure: the same record gives the same drafts."""
