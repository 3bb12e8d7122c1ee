"""Replaying: what a transcript recorded of Binance, asked of a loopback exchange."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import attrs

from triarb.clock import ManualClock
from triarb.exceptions import UsageError
from triarb.gateways.ccxt import Credentials
from triarb.testing.loopback import LoopbackExchange, LoopbackSession
from triarb.testing.loopback.session import HOSTS
from triarb.testing.transcripts import world
from triarb.testing.transcripts.comparing import Difference, differences
from triarb.testing.transcripts.sanitizing import Sanitizer
from triarb.testing.transcripts.transcript import Answer, Exchanged, Pairs, Transcript

KEY_HEADER: Final = "X-MBX-APIKEY"
_KEYS: Final = Credentials("replayed-key", "replayed-secret")
_NO_SECRETS: Final = Sanitizer(())

_SPOILT: Final = {
    -1022: Credentials("replayed-key", "another-secret"),
    -2014: Credentials("", "replayed-secret"),
    -2015: Credentials("another-key", "replayed-secret"),
}
"""What a request is signed with that was refused for its keys, by the code: a transcript does not hold them."""


@attrs.frozen
class Replayed:
    """What came of a replay.

    Attributes:
        differences: each once, wherever it was seen.
        compared: how many answers were.
        left_out: the numbers of the requests that had no answer, or went to another host than Binance's.
    """

    differences: tuple[Difference, ...]
    compared: int
    left_out: tuple[int, ...]


async def replay(transcript: Transcript) -> Replayed:
    """Send a transcript's requests to a loopback exchange set up from its answers, and compare what it answers.

    Its markets, balances and fees are those that were told first, its time is the recorded one, and before each request
    its books become those that the recorded answer shows; an order meets the very levels that it was filled by. So what
    differs is what the loopback exchange does otherwise, but for orders that rest and fill later, which stay open here.

    Raises:
        UsageError: ``transcript.protocol`` where it is not Binance's; ``transcript.no_markets``.
    """
    if transcript.exchange != "binance":
        raise UsageError(
            f"a transcript of {transcript.exchange} cannot be replayed",
            code="transcript.protocol",
            hint="the loopback exchange speaks Binance's protocol only",
        )
    listed = world.markets(transcript)
    clock = ManualClock(transcript.began_ns)
    exchange = LoopbackExchange(
        listed,
        fees=world.fees(transcript, listed),
        balances=world.balances(transcript),
        credentials=_KEYS,
        clock=clock,
    )
    symbols = {market.exchange_id: market.symbol for market in listed}
    found: dict[Difference, list[int]] = {}
    numbers: dict[str, str] = {}  # of orders, theirs to ours
    left_out = []
    async with exchange:
        session = exchange.session_factory()
        try:
            for one in transcript.exchanged:
                if one.answer is None or one.request.host not in HOSTS:
                    left_out.append(one.number)
                    continue
                clock.advance_to(transcript.began_ns + one.at_us * 1000)
                for book in world.shown(one, symbols):
                    exchange.set_book(book)
                here = await _ask(session, one, one.answer, numbers)
                _learn(numbers, one.answer.told, here.told)
                for difference in differences(one.request.endpoint, one.answer, here):
                    found.setdefault(difference, []).append(one.number)
        finally:
            await session.close()
    merged = tuple(attrs.evolve(d, numbers=tuple(seen)) for d, seen in found.items())
    return Replayed(merged, len(transcript.exchanged) - len(left_out), tuple(left_out))


def _learn(numbers: dict[str, str], there: Any, here: Any) -> None:
    """Note under which number an order goes here."""
    both = isinstance(there, Mapping) and isinstance(here, Mapping)
    if both and "orderId" in there and "orderId" in here:
        numbers.setdefault(str(there["orderId"]), str(here["orderId"]))


async def _ask(
    session: LoopbackSession, one: Exchanged, there: Answer, numbers: Mapping[str, str]
) -> Answer:
    request = one.request
    code = there.told.get("code") if isinstance(there.told, Mapping) else None
    keys = _SPOILT.get(code, _KEYS) if isinstance(code, int) else _KEYS
    headers = {name: value for name, value in request.headers.items() if value != "***"}
    if any(name.upper() == KEY_HEADER for name in request.headers):
        headers[KEY_HEADER] = keys.key
    query, form = (_written(pairs, numbers) for pairs in (request.query, request.form))
    signature = hmac.new(keys.secret.encode(), (query + form).encode(), hashlib.sha256).hexdigest()
    query, form = (
        "&".join(
            filter(None, (text, f"signature={signature}" if "signature" in dict(pairs) else ""))
        )
        for text, pairs in ((query, request.query), (form, request.form))
    )
    url = f"https://{request.host}{request.path}" + (f"?{query}" if query else "")
    sent = form.encode() if form else None
    async with session.request(request.method, url, data=sent, headers=headers) as response:
        text = await response.text()
        kind = response.headers.get("Content-Type", "")
        return Answer(response.status, dict(response.headers), _NO_SECRETS.body(text, kind))


def _written(pairs: Pairs, numbers: Mapping[str, str]) -> str:
    """Parameters as they are sent here, without the signature."""
    return urlencode(
        [
            (name, numbers.get(value, value) if name == "orderId" else value)
            for name, value in pairs
            if name != "signature"
        ]
    )


def lines(replayed: Replayed) -> Iterable[str]:
    """What came of a replay, for a person."""
    yield from map(str, replayed.differences)
    unlike = len(replayed.differences)
    yield f"{replayed.compared} answers compared, {len(replayed.left_out)} left out: {unlike or 'no'} difference{'' if unlike == 1 else 's'}"
