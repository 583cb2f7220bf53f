"""What is particular to one adapter of the objects, and what is built on the port."""
