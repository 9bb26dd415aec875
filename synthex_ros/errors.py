"""The base of errors that are the user's to mend: one line says what, got, allowed, next step."""


class SynthexError(RuntimeError):
    """Something outside the program is missing or wrong; the command line prints only its text."""
