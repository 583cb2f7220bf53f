"""The command `yurt`: a module for each command or small family, loaded when it is called.

`main` holds the group and turns errors into one sentence and an exit status; `session` is what each
command gets: which data to act on, the node, the time. What a command does is in
`shared.commands`; here is how it is asked for and shown.
"""
