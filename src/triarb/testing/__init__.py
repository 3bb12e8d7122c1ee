"""What an author of a plug-in runs on it, and what tests are made of.

`loopback` is an exchange on this machine that real ccxt takes for Binance, `faults` is what goes wrong with it and with a
`FaultyGateway`, `fixtures` are pytest's and `strategies` Hypothesis' (which the extra ``testing`` brings).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
