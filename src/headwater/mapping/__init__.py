"""Directives that say what a field of an event becomes: paths, templates, cases, lists."""
