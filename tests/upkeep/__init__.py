"""What commands decide and answer, without a terminal."""
