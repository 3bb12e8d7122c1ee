"""A loopback exchange on a thread of its own, for code that is not async or brings its own event loop."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from triarb.testing.loopback.exchange import LoopbackExchange


@contextmanager
def in_background(*arguments: Any, **options: Any) -> Iterator[LoopbackExchange]:
    """A `LoopbackExchange` of these arguments that serves from a thread until the block ends.

    Its `session_factory` works in any event loop of any thread, so that a command or `triarb.scan` can be led to it::

        with in_background(snapshot) as exchange:
            monkeypatch.setitem(
                CcxtGateway.__init__.__kwdefaults__, "session_factory", exchange.session_factory
            )
            triarb.scan("binance")
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="loopback-exchange")
    thread.start()

    def wait_for(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    exchange = LoopbackExchange(*arguments, **options)
    try:
        wait_for(exchange.__aenter__())
        try:
            yield exchange
        finally:
            wait_for(exchange.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
