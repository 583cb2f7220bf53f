"""The list of the commands."""

COMMANDS = {
    "up": "up",
    "deploy": "deploy",
    "undeploy": "undeploy",
    "pair": "pair",
    "devices": "devices",
    "unpair": "devices",
    "share": "devices",
    "send": "devices",
    "where": "where",
    "search": "search",
    "import": "import_",
    "jobs": "jobs",
    "collectors": "collectors",
    "status": "status",
    "plan": "plan",
    "what-if": "plan",
    "rejects": "rejects",
    "profile": "profile",
    "export": "export",
    "token": "token",
    "doctor": "doctor",
}
"""Each command and the module of this package that has it, in the order of the help."""
