"""Every error this project raises on purpose.

* DeskError
  + Transient       the other side is busy or away: the job is retried with backoff
    - Throttled     the other side said how long to wait
    - Away          the other side does not answer, whatever it is asked
  + Permanent       trying again cannot work: the job goes to the dead letters
    - Misconfigured a setting or file is wrong: the command stops and says what to change
  + Ambiguous       it may or may not have happened: a person or the other side's records decide
  + Refused         a person may not do this now: the sentence is shown to them
    - Conflict      somebody or something was faster: the card is redrawn

Adapters translate what their libraries raise into these at the border and nowhere else.
Every message is a sentence a person can act on.
"""


class DeskError(Exception):
    """Base of all errors raised on purpose."""


def said(error: BaseException) -> str:
    """For logs: our own errors name records and settings, others may quote a mail."""
    return str(error) if isinstance(error, DeskError) else type(error).__name__


class Transient(DeskError):
    """The other side is unavailable or busy; trying again may work."""


class Throttled(Transient):
    """The other side asked for a pause of ``seconds``; a day of it at most is kept to, whatever
    number it wrote."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = max(0.0, min(86_400.0, seconds))  # in this order also of what is no number


class Away(Transient):
    """The other side does not answer; that says nothing of what it was asked."""


class Permanent(DeskError):
    """Trying again cannot work."""


class Misconfigured(Permanent):
    """A setting, key or file is wrong; the message says what to change."""


class Ambiguous(DeskError):
    """The outcome is unknown; never repeat blindly."""


class Refused(DeskError):
    """The action is not allowed; the message is shown to the person."""


class Conflict(Refused):
    """What the person saw is no longer so; the card is redrawn."""
