"""FQL, Segment's filter query language: parsed, checked and compiled to a test of one event."""
