"""Work that nobody asked for, and that keeps a node small and quick."""
