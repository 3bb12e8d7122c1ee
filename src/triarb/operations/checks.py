"""Check: one thing that the doctor looked at, what it saw, and what would mend it."""

import enum

import attrs


class Verdict(enum.StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    """It may trade; a person should know."""
    FAILED = "FAILED"
    """It must not trade."""
    NOT_TOLD = "not told"
    """There is no way to find out here."""


@attrs.frozen
class Check:
    """One check.

    Attributes:
        name: what was looked at.
        verdict: how it came out.
        saw: what was seen.
        mend: what would mend it; empty where nothing needs to be.
    """

    name: str
    verdict: Verdict
    saw: str
    mend: str = ""


def ok(name: str, saw: str) -> Check:
    """As it should be."""
    return Check(name, Verdict.OK, saw)


def warning(name: str, saw: str, mend: str) -> Check:
    """Not as it should be, and no reason not to trade."""
    return Check(name, Verdict.WARNING, saw, mend)


def failed(name: str, saw: str, mend: str) -> Check:
    """A reason not to trade."""
    return Check(name, Verdict.FAILED, saw, mend)


def not_told(name: str, saw: str, mend: str = "") -> Check:
    """Nothing is known."""
    return Check(name, Verdict.NOT_TOLD, saw, mend)
