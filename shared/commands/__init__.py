"""What the owner can ask and order, for the command line, chat and the web alike.

Each module is one subject: it reads and writes through the node's ports and gives an answer of
`answers`, or raises one of `errors`. How an answer looks on a screen is decided where it is shown.
"""
