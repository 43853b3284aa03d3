"""Builds the running program from its settings: the only room that knows every other.

`supervisor` starts and keeps the three roles as processes; `ingest_role`, `pipeline_role` and `web_role` each build
one.
"""
