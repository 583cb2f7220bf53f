"""What stands around the library: the command, the home node, and what a deployment is made from.

Here live the `yurt` command (`cli`), the home node that mounts every public function in one
process, its `crew` that runs jobs, what an owner points at to have it imported (`exports`), how
that is run in the command itself (`importing`) or sent to another node (`uploading`), the stager
that makes `build/<function>/`, the node of staged functions on emulators, the generator of schemas
and indexes, and Firestore's rules. Two scripts that the Makefile calls live here too: `bootstrap`
makes the virtual environment and `system-deps` brings what only the system's packages can.

What a function needs while it answers does not live here: that is `shared`. Nothing in `shared` or
`functions` imports this package.
"""
