"""The engine that carries events from the log into warehouses: tables, types, each row once."""
