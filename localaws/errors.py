"""What the local AWS tells a person: one base, which the command turns into a message."""


class LocalAwsError(RuntimeError):
    """Something on this machine stands in the way; the text says what, where and what to do."""
