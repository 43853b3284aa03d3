"""The shelf of destinations, one file each."""
