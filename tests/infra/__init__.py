"""The command, the home node, the stager and the generators."""
