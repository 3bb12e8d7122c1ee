"""What an operator did and decided, as the ledger remembers it: configurations, examinations, arming, limits."""

import attrs


@attrs.frozen
class Configured:
    """An engine is about to begin on this configuration; what it executes counts as evidence of that one alone.

    Attributes:
        configuration: the digest of strategy, risk and markets.
        mode: where its orders go, as of a gateway.
        account: the account's name.
    """

    at_ns: int
    configuration: str
    exchange: str
    mode: str
    account: str


@attrs.frozen
class Examined:
    """`triarb doctor` examined a configuration.

    Attributes:
        configuration: as in `Configured`.
        account: the account's name.
        key: the fingerprint of the API key; empty without one.
        failed: the checks that failed; none where it passed.
    """

    at_ns: int
    configuration: str
    account: str
    key: str
    failed: tuple[str, ...] = ()


@attrs.frozen
class Granted:
    """Production was armed.

    Attributes:
        configuration: as in `Configured`.
        account: the account's name.
        key: the fingerprint of the API key.
        until_ns: when it expires.
        confirmed: how the account's name was given.
    """

    at_ns: int
    configuration: str
    account: str
    key: str
    until_ns: int
    confirmed: str


@attrs.frozen
class LimitSet:
    """A limit was set by hand, beside what the configuration says: both hold.

    Attributes:
        name: the setting.
        value: as a person writes it; empty takes back what was set before.
        by: who.
        loosens: whether more was allowed from then on than before.
    """

    at_ns: int
    name: str
    value: str
    by: str
    loosens: bool
