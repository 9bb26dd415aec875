"""The one error of the bag and report layer: what was wrong with a recording, and what to do."""


class BagError(ValueError):
    """A recording cannot be opened, read or evaluated; the text says why and what to do next."""
