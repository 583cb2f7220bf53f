"""What the platform counts, as a node reads it."""
