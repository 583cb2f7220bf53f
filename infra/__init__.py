"""What stands around the library: the command, the home node, and everything that deploys.

Here live the `yurt` command (`cli`), the home node that mounts every function in one process, the
stager that makes `build/<function>/`, the deployer, the generator of schemas and indexes, and the
rules, quotas and schedule of the cloud. Two helpers of the Makefile live here too: `bootstrap`
makes the virtual environment and `system-deps` brings what only the system's packages can.

What a function needs while it answers does not live here: that is `shared`. Nothing in `shared` or
`functions` imports this package.
"""
