"""A loopback exchange as a pytest fixture, for tests of any bot that uses ccxt, synchronous or not.

pytest does not load it on its own. Ask for it in the ``conftest.py`` at the top of the tests, or with ``-p``::

    pytest_plugins = ["triarb.testing.fixtures"]
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from triarb.testing.loopback import LoopbackExchange, in_background

StartExchange = Callable[..., LoopbackExchange]
"""Starts a loopback exchange; takes what `LoopbackExchange` takes."""


@pytest.fixture
def loopback_exchange() -> Iterator[StartExchange]:
    """Starts loopback exchanges, each on a thread of its own until the test ends.

    ::

        def test_my_bot(loopback_exchange):
            lost = FaultScript([FaultRule("submit", DropAfter())])
            exchange = loopback_exchange(planted_triangle(), balances={"USDT": "1000"}, faults=lost)
            exchange.connect(bot.exchange)
            bot.run()
            assert max(exchange.posts().values()) == 1
    """
    with ExitStack() as running:

        def start(*arguments: Any, **options: Any) -> LoopbackExchange:
            return running.enter_context(in_background(*arguments, **options))

        yield start
