"""Every error that triarb raises.

    TriarbError                     code, message, hint; what a person did or met
    ├── UsageError (ValueError)     an argument, option or setting that makes no sense
    │   └── ConfigError             settings that make no sense, all of them at once
    ├── SecretError                 a key or secret that cannot be had, or not safely
    ├── SourceError                 a snapshot, tape or exchange id that cannot be read
    ├── GatewayError                the exchange, or the way to it
    │   ├── GatewayUnavailable      no answer; for a read, asking again is sane
    │   ├── MalformedAnswer         an answer that makes no sense
    │   └── TradingRefused          triarb itself refuses to trade there
    ├── LedgerError                 the ledger cannot be opened, read or written
    ├── AuditError                  the audit log cannot be opened or read
    └── PolicyViolation             a plug-in broke its contract; always stops the engine

Ordinary outcomes (no cycle, a refusal, a partial fill, sized to zero) are values, never errors.
"""


class TriarbError(Exception):
    """The root of all errors.

    Attributes:
        code: a stable dotted word for programs, such as ``source.missing``.
        message: one sentence that names the thing and its value.
        hint: what would mend it; empty where nothing would.
    """

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(TriarbError, ValueError):
    """An argument, option or setting that makes no sense."""

    def __init__(self, message: str, *, code: str = "usage.invalid", hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)


class ConfigError(UsageError):
    """Settings that make no sense, all that were found.

    Attributes:
        problems: of each its code, the setting as it was spelt, its source, its value (None where that could be a
            secret), what is wrong with it, and what to write instead, under ``code``, ``setting``, ``source``,
            ``value``, ``message`` and ``hint``.
    """

    def __init__(self, message: str, *, problems: tuple[dict[str, str | None], ...]) -> None:
        super().__init__(message, code="config.invalid")
        self.problems = problems


class SecretError(TriarbError):
    """A key or secret that cannot be had, or not safely."""


class SourceError(TriarbError):
    """A snapshot, a tape or an exchange id that cannot be read."""


class GatewayError(TriarbError):
    """Something went wrong at the exchange or on the way to it."""


class GatewayUnavailable(GatewayError):
    """The exchange did not answer. For a read, asking again is sane; for an order it proves nothing."""


class MalformedAnswer(GatewayError):
    """The exchange answered something that makes no sense."""


class TradingRefused(GatewayError):
    """triarb itself refuses to send orders there."""


class LedgerError(TriarbError):
    """The ledger cannot be opened, read or written."""


class AuditError(TriarbError):
    """The audit log cannot be opened or read."""


class PolicyViolation(TriarbError):
    """A plug-in broke its contract. Always stops the engine."""

    def __init__(self, message: str, *, code: str = "policy.violation", hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
