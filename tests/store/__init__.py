"""What is particular to one adapter of the store, and its pure parts."""
