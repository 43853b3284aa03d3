"""Questions asked of a warehouse: SQL, charts, email funnels."""
