"""How the control database came to its present shape; run by `headwater.control.database.migrate`."""
