"""What the account's reports tell: back-fill and reconciliation, as runs that survive a restart."""
