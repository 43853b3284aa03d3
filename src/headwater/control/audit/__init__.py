"""The audit trail: every change of the configuration, who made it, and what was there before."""
