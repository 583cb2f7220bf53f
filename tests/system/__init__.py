"""Real processes: the node, the staged functions, the command, as a user runs them."""
