"""The shelf of warehouses, one entry each."""
