"""triarb finds, judges, executes and measures triangular and multi-leg arbitrage on a spot crypto exchange.

The path, one direction, each stage's output the next stage's only input:

    MarketData ─ Quote ─▶ RateTable ─ float64 ─▶ CycleFinder ─ Cycle (nominated) ─▶ [books read again] ─▶ confirm ─ Opportunity ─▶
    RiskPolicy ─ Approved | Refused ─▶ Sizer ─ Plan | Refused ─▶ Executor ─ Execution ─▶ Ledger ─ Portfolio ─▶ (risk, sizing)
                                                                                              └──▶ Report

A cycle is a nomination; an opportunity exists only where fresh books, fees, steps and minimums confirm it. What is refused is a
value with a stable code, and is counted. Names are resolved when they are first used, so that `import triarb` is light.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
