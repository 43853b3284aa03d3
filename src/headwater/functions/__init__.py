"""Code of users: JavaScript in processes of its own, within bounds of time and memory."""
