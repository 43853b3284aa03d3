"""Schema controls of a source, and tracking plans: what may be kept of what it sends."""
