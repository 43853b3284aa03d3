"""The durable log between everything: append, read from a cursor, advance."""
