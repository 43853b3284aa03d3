"""What an event is: types, checks, ids, times. Pure: no I/O, no clock."""
