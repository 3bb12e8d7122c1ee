"""A spot exchange on this machine that real ccxt takes for Binance.

Behind Binance's REST protocol, with its signatures, filters and error codes, is triarb's matching engine: what is
bought and sold is exact to the last digit, and nothing leaves this machine. A few assets have another name in ccxt than at
Binance (YOYO, BCHSV), so that a client of it knows their markets by that one. For a bot on ccxt::

    async with loopback(snapshot, balances={"USDT": "1000"}) as (exchange, binance):
        order = await binance.create_order("ETH/USDT", "limit", "buy", 0.5, 2000)
        assert exchange.engine.balances["ETH"].free == Decimal("0.4995")

`binance` is a `ccxt.async_support.binance`. For anything else that takes a session or a session factory, such as
`triarb.gateways.ccxt.CcxtGateway`::

    async with (
        LoopbackExchange(snapshot, balances={"USDT": "1000"}) as exchange,
        CcxtGateway(
            "binance", credentials=exchange.credentials, session_factory=exchange.session_factory
        ) as gateway,
    ):
        ...

A session of its factory sends whatever is meant for Binance, production and testnet, to the loopback exchange, and
refuses every other host. `connect` leads a ccxt binance here that a bot made, `faults` says what goes wrong, and `in_background` serves from a thread,
for code that is not async; `triarb.testing.fixtures` has it for pytest. A script that names no session can be led here
by the default that it leaves alone::

    monkeypatch.setitem(
        CcxtGateway.__init__.__kwdefaults__, "session_factory", exchange.session_factory
    )
"""

from triarb.testing.loopback.background import in_background as in_background
from triarb.testing.loopback.exchange import (
    LoopbackExchange as LoopbackExchange,
    Received as Received,
    loopback as loopback,
)
from triarb.testing.loopback.session import LoopbackSession as LoopbackSession
