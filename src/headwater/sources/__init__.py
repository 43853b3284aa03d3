"""The shelf of sources, one entry each."""
