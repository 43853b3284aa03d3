"""Who contacts are and what campaigns are called, within a bounded wait."""
