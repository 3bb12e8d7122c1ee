"""Credentials: an API key and its secret, which never show."""

import re
from typing import NoReturn

import attrs

_MASK = "***"
_SIGNATURE = re.compile(
    r"(signature|sign|api[-_]?key|secret)(['\"]?\s*[=:]\s*['\"]?)[^\s&'\",}]+", re.IGNORECASE
)


@attrs.frozen
class Credentials:
    """What an exchange knows an account by. Neither printed, nor logged, nor pickled.

    Attributes:
        key: the API key.
        secret: its secret.
        password: the passphrase, on the exchanges that have one.
    """

    key: str = attrs.field(repr=lambda _: _MASK)
    secret: str = attrs.field(repr=lambda _: _MASK)
    password: str | None = attrs.field(default=None, repr=lambda _: _MASK)

    def mask(self, text: str) -> str:
        """`text` with every one of these masked."""
        for hidden in (self.key, self.secret, self.password):
            if hidden:
                text = text.replace(hidden, _MASK)
        return text

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not pickled")


def without_signature(text: str) -> str:
    """`text` with whatever looks like a signature, a key or a secret masked."""
    return _SIGNATURE.sub(rf"\1\2{_MASK}", text)
