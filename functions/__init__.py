"""The functions: each folder is deployed on its own, and only passes a request to the library."""
