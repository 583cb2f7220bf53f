"""Why a command was not done. The text is one sentence that also says what to do next."""


class CommandError(Exception):
    """A command was not done."""


class Refused(CommandError):
    """What was asked for cannot be meant: an unknown name, a value out of range."""


class Failed(CommandError):
    """What was asked for made sense, and could not be done or is not there."""
