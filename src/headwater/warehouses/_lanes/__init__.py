"""What several warehouses are built from: rules of removal, DuckDB catalogs, the lane through dlt."""
