"""What of a request and its answer may be kept: everything but keys, signatures, and whose account it is.

Headers keep their names, and of few the values. Parameters and fields of JSON that are named like a secret or a person keep
their kind. In all text, whatever it is called, the session's own keys are found in the encodings that they could have,
and so are e-mail and IP addresses.
"""

import base64
import copy
import html
import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from triarb.testing.transcripts.transcript import Number, Pairs, loads

MASK: Final = "***"

KEPT: Final = re.compile(
    r"accept|content-type|content-encoding|date|retry-after|paptrading|x-simulated-trading"
    r"|x-mbx-used-weight.*|x-mbx-order-count.*|x-sapi-used-.*|(gw-|x-)?ratelimit-.*|x-bapi-limit.*",
    re.IGNORECASE,
)
"""The headers whose values are kept."""

_HIDDEN_WORDS: Final = frozenset(
    {
        "authorization", "cookie", "email", "emails", "hmac", "ip", "ips", "mail", "mobile", "nickname", "passphrase",
        "passwd", "password", "phone", "secret", "sig", "sign", "signature", "uid", "uids", "username",
    }
)  # fmt: skip
_HIDDEN_NAMES: Final = re.compile(
    r"(api|secret|access|listen|private|public)_?(key|token)(_.*)?|key|token|(account|user|member|client|trader|customer)_?"
    r"(id|no|number|name)|sub_?account(_?(id|name))?|(.*_)?address(es)?"
)
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_IP: Final = re.compile(
    r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\d)"
    r"|(?<![0-9A-Za-z])(?:[0-9a-fA-F]{1,4}|(?=::))(?::[0-9a-fA-F]{0,4}){2,7}(?:\d{0,2}(?:\.\d{1,3}){3})?"
)
_SHORTEST: Final = 4
"""Shorter ones would be found everywhere."""

_LONG: Final = 16
"""A value that is hidden, or a line of a key, is looked for in other places from this length on."""


def hides(name: str) -> bool:
    """Whether what is called `name` is a secret, or tells whose account it is."""
    words = [word.lower() for word in _WORDS.findall(name)]
    return not _HIDDEN_WORDS.isdisjoint(words) or bool(_HIDDEN_NAMES.fullmatch("_".join(words)))


def encodings(secret: str) -> Iterator[str]:
    """How `secret` may stand in a text: as it is, in URLs, in JSON and HTML, in hex, within base64."""
    raw = secret.encode()
    yield secret
    yield from (quote(secret, safe=""), quote_plus(secret), unquote(secret))
    yield from (json.dumps(secret)[1:-1], html.escape(secret), raw.hex())
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):  # where it begins within three bytes of something longer
            # what a digit has of the bytes around it is left out
            text = encode(b"\0" * before + raw).decode().rstrip("=")
            end = len(text) - ((before + len(raw)) % 3 != 0)
            yield text[(0, 2, 3)[before] : end]
    if re.fullmatch(r"([0-9a-fA-F]{2}){16,}", secret):
        yield base64.b64encode(bytes.fromhex(secret)).decode().rstrip("=")


class Sanitizer:
    """Hides `secrets`, and what looks like one.

    Args:
        secrets: the session's own; a key of several lines is known by each of them.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in _parts(secrets) for form in encodings(secret)}
        longest_first = sorted((f for f in forms if len(f) >= _SHORTEST), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first)) or "(?!)", re.IGNORECASE)
        self._shortest = len(longest_first[-1]) if longest_first else 0
        self._besides: tuple[str, ...] = ()

    def knowing(self, pairs: Iterable[tuple[str, str]], headers: Mapping[str, str]) -> "Sanitizer":
        """The same, and whatever a request with these parameters and headers hides, for its answer may repeat it."""
        told = [value for name, value in pairs if hides(name)]
        told += [value for name, value in headers.items() if not KEPT.fullmatch(name)]
        forms = {form for value in told if len(value) >= _LONG for form in encodings(value)}
        cases = {case for form in forms for case in (form, form.upper(), form.lower())}
        made = copy.copy(self)
        made._besides = tuple(sorted(cases, key=len, reverse=True))  # noqa: SLF001 - its own class
        return made

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """All names, the values of few."""
        return {
            self.text(name): self.text(value) if KEPT.fullmatch(name) else MASK
            for name, value in headers.items()
        }

    def pairs(self, pairs: Iterable[tuple[str, str]]) -> Pairs:
        """Parameters."""
        return tuple(
            (self.text(name), MASK if hides(name) else self.text(value)) for name, value in pairs
        )

    def body(self, text: str, kind: str) -> dict[str, Any] | None:
        """A body of that content type."""
        if not text:
            return None
        if "x-www-form-urlencoded" in kind:
            return {"form": self.pairs(form(text))}
        try:
            return {"json": self._json(loads(text))}
        except (ValueError, RecursionError):
            return {"text": self.text(text)}

    def text(self, text: str) -> str:
        """A text without secrets and addresses."""
        if self._shortest and len(text) >= self._shortest:
            text = self._known.sub(MASK, text)
        if len(text) >= _LONG:
            for form_of_it in self._besides:
                text = text.replace(form_of_it, MASK)
        if "@" in text:
            text = _EMAIL.sub(MASK, text)
        if text.count(".") > 2 or text.count(":") > 1:
            text = _IP.sub(_without_address, text)
        return text

    def _json(self, value: Any, *, hidden: bool = False) -> Any:
        match value:
            case dict():
                return {
                    self.text(name): self._json(one, hidden=hidden or hides(name))
                    for name, one in value.items()
                }
            case list():
                return [self._json(one, hidden=hidden) for one in value]
            case bool() | None:  # tells nobody's name
                return value
            case Number():
                return Number("0.0") if hidden or self.text(value) != value else value
            case str():
                return MASK if hidden and value else self.text(value)
            case _:
                return 0 if hidden or self.text(str(value)) != str(value) else value


def form(text: str) -> list[tuple[str, str]]:
    """The parameters of a query or a form."""
    return parse_qsl(text, keep_blank_values=True)


def _parts(secrets: Iterable[str]) -> Iterator[str]:
    for secret in secrets:
        if secret:
            yield secret
            yield from (line for line in secret.splitlines() if len(line) >= _LONG)


def _without_address(found: re.Match[str]) -> str:
    try:
        ipaddress.ip_address(found[0])
    except ValueError:
        return found[0]
    return MASK
