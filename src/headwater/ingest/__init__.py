"""The door: Tracking API, webhooks, the inbox. 200 only once the log has it."""
