"""Workspaces, sources, destinations, warehouses, secrets; the Public API."""
