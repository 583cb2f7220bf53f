"""What is particular to zip and tar, and to unpacking in parts."""
