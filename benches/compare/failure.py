"""What a measurement ends with that cannot be trusted."""


class Failure(Exception):
    """A check failed, or a server or a load did: no figure of the case is shown."""
