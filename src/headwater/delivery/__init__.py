"""The engine that carries events from the log to destinations: filter, attempt, settle, dead letters, replay."""
