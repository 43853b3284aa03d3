"""What people are told of without asking: rules, their state, the channels."""
