"""Carries out what privacy law asks for: deletion, suppression, access; store by store, with a receipt."""
