"""A workspace's configuration as one document: read from a server, compared, applied to another.

Nothing here knows more than the Public API tells: what a person may not see or change, a file cannot either.
"""
