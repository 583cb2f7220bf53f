"""One suite for each port: what its protocol promises, held against every adapter."""
