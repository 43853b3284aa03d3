"""Labels: a key with a value, which sorts sources."""
