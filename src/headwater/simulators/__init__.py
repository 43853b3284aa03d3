"""The outside world, for the demo and the tests."""
