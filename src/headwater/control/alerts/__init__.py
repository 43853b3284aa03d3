"""What a workspace wants to be told of, and where."""
