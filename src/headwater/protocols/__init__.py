"""What a source may send: names, plans, and the gate that holds events against them. Pure."""
