"""The lane through dlt: databases whose bulk loading somebody else knows better, behind one way of loading once.

dlt carries a batch as Arrow tables into tables of a schema of our own, `_headwater_stage`, by the engine's bulk path;
one statement or transaction of ours takes them from there into the tables that users see. So nothing of dlt's stands
in a user's schema, no name of an event ever reaches it, and what a crash leaves behind is cleared away unread.
"""
