"""What a source may send: schema controls and tracking plans, compiled. Pure: no log, no database."""
