"""Reads the events of the log and remembers which collections and properties there are, and what broke a rule."""
