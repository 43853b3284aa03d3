"""Privacy as it is configured: who is suppressed, and which regulations were asked for."""
