"""``nox -s sandbox``: the doctor, a few whole cycles and some questions in an exchange's own sandbox, and their transcript."""

import argparse
import asyncio
import functools
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import aiohttp
import attrs

from sandbox.losing import LEAST_EDGE_BPS, LosingEngine
from sandbox.questions import ask
from triarb.cli.output import console, print_report, say, table
from triarb.exceptions import TriarbError, UsageError
from triarb.gateways.ccxt import CcxtGateway, Credentials
from triarb.ledger import SqlLedger
from triarb.market.snapshot import Snapshot
from triarb.model import Outcome
from triarb.operations import Parts, TradingConfig
from triarb.operations.config import DEFAULT
from triarb.operations.doctor import examine
from triarb.operations.parts import choose_mode
from triarb.report import Report
from triarb.testing.loopback import LoopbackExchange
from triarb.testing.market import planted_triangle
from triarb.testing.transcripts import Recorder, read, replay
from triarb.testing.transcripts.replaying import lines

SESSIONS: Callable[[], Any] = aiohttp.ClientSession


def main(arguments: list[str]) -> int:
    """Run it; 0 where all cycles came to their end, 1 where one did not or the doctor failed, 2 where it could not begin."""
    parser = argparse.ArgumentParser("sandbox", description=__doc__)
    parser.add_argument("--cycles", type=int, default=3, help="how many cycles")
    parser.add_argument("--seconds", type=float, default=180, help="how long at most")
    parser.add_argument("--folder", type=Path, default=Path("transcripts"), help="where to")
    parser.add_argument(
        "--loopback", action="store_true", help="try it without keys: with the loopback exchange"
    )
    told = parser.parse_args(arguments)
    try:
        return asyncio.run(_on_loopback(told) if told.loopback else _on_sandbox(told))
    except TriarbError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2


async def _on_sandbox(told: argparse.Namespace) -> int:
    return await rehearse(configuration(), told, source="sandbox", sessions=SESSIONS)


async def _on_loopback(told: argparse.Namespace) -> int:
    keys = Credentials(secrets.token_hex(32), secrets.token_hex(32))
    balances = {"USDT": "1000"}
    async with LoopbackExchange(fair(), balances=balances, credentials=keys) as exchange:
        environ = {"EXCHANGE": "binance", "API_KEY": keys.key, "SECRET_KEY": keys.secret}
        config = configuration({f"TRIARB_{name}": value for name, value in environ.items()})
        return await rehearse(config, told, source="loopback", sessions=exchange.session_factory)


def fair() -> Snapshot:
    """The planted triangle at prices that leave nothing: every cycle loses its fees and spreads."""
    planted = planted_triangle()
    prices = {"ETH/USDT": (Decimal("4.99"), Decimal("5.00"))}
    quotes = []
    for quote in planted.quotes:
        bid, ask = prices.get(quote.symbol, (quote.bid, quote.ask))
        quotes.append(attrs.evolve(quote, bid=bid, ask=ask))
    return attrs.evolve(planted, quotes=tuple(quotes), source="generated: a fair triangle")


def configuration(environ: Mapping[str, str] | None = None) -> TradingConfig:
    """What the environment tells, or whatever else `triarb run` reads where none is given.

    Raises:
        UsageError: there are no keys of a sandbox in it.
    """
    if environ is None:
        config = TradingConfig.load()
    else:
        config = TradingConfig.load("/dev/null", dotenv=None, environ=environ)
    if config.live or not config.sandbox:
        raise UsageError(
            "the configuration asks for production, and this trades cycles that lose",
            code="sandbox.only",
            hint="leave live false and sandbox true, with the keys of the exchange's own sandbox",
        )
    told = {
        "TRIARB_EXCHANGE": config.origins.get("exchange", DEFAULT) != DEFAULT,
        "TRIARB_API_KEY": config.api_key is not None,
        "TRIARB_SECRET_KEY": config.secret_key is not None,
    }
    if not all(told.values()):
        raise UsageError(
            f"not set: {', '.join(name for name, is_told in told.items() if not is_told)}",
            code="sandbox.keys",
            hint="set TRIARB_EXCHANGE (such as binance), and TRIARB_API_KEY and TRIARB_SECRET_KEY to a key of that "
            "exchange's own sandbox; or try it without any: nox -s sandbox -- --loopback",
        )
    mode, why = choose_mode(config)
    if mode != "sandbox":
        raise UsageError(
            f"there is no sandbox to trade in: {'; '.join(why)}",
            code="sandbox.none",
            hint="name an exchange that has one, such as binance",
        )
    return config


async def rehearse(
    config: TradingConfig,
    told: argparse.Namespace,
    *,
    source: str,
    sessions: Callable[[], Any],
) -> int:
    """Record doctor, cycles and questions, and say where the loopback exchange differs."""
    told.folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    path = told.folder / f"{config.exchange}-{source}-{stamp}.jsonl"
    # a ledger of its own: it is nobody's evidence, and a sandbox forgets its accounts
    config = attrs.evolve(config, ledger=path.with_suffix(".sqlite"), live=False)
    say(
        f"{config.exchange}, {source}: {told.cycles} cycles of the smallest size that may lose up to "
        f"{-LEAST_EDGE_BPS} bps each; the least edge of your limits does not hold here, the others do"
    )
    say(f"transcript: {path}")
    began = Recorder(
        path,
        exchange=config.exchange,
        source=source,
        credentials=config.credentials(),
        sessions=sessions,
    )
    with began as recorder:
        connect = functools.partial(CcxtGateway, session_factory=recorder.session)
        found = await examine(config, connect=connect)
        rows = [(c.name, str(c.verdict), c.saw, c.mend) for c in found.checks]
        console().print(table(("check", "verdict", "saw", "mend"), rows))
        ended = None if found.failed else await _cycles(config, told, connect)
    if ended is not None:
        print_report(ended, title=f"ledger {config.ledger}", as_json=False)
    if config.exchange == "binance":
        say("where the loopback exchange differs from it:")
        for line in lines(await replay(read(path))):
            say(line)
    done = 0 if ended is None else ended.outcomes.get(Outcome.COMPLETED, 0)
    say(f"{done} of {told.cycles} cycles were completed")
    return 0 if done >= told.cycles else 1


async def _cycles(
    config: TradingConfig, told: argparse.Namespace, connect: Callable[..., CcxtGateway]
) -> Report:
    parts = Parts.of(config, "sandbox", connect=connect)
    async with parts.gateway as gateway, SqlLedger(parts.ledger) as ledger:
        engine = LosingEngine(gateway, config, ledger=ledger, **parts.options)
        report = await engine.run(seconds=told.seconds, cycles=told.cycles)
        for line in await ask(cast("CcxtGateway", gateway), config.start):
            say(line)
    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
