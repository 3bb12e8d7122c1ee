"""I8, E10: whatever goes wrong inside a policy, and wherever it stands, no order is sent."""

import decimal
from decimal import Decimal

import pytest

from triarb import (
    AllOf,
    Approved,
    CircuitBreaker,
    Engine,
    FirstRefusal,
    PolicyViolation,
    ReplayGateway,
    RiskLimits,
    RiskPolicy,
    SqlLedger,
    Tape,
)
from triarb.model import ExecutionStarted, Intended
from triarb.risk import Marks, MaxDailyLoss, MaxNotional
from triarb.testing.market import planted_triangle

LIMITS = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")


class Odd(BaseException):
    """What `except Exception` does not catch."""


class Broken(RiskPolicy):
    """Raises, or returns what is given."""

    def __init__(self, failure) -> None:
        self.failure = failure

    def review(self, opportunity, portfolio, now_ns, /):
        if isinstance(self.failure, BaseException) or (
            isinstance(self.failure, type) and issubclass(self.failure, BaseException)
        ):
            raise self.failure
        return self.failure


class NoValue:
    """A valuation that fails inside."""

    def value(self, *_):
        raise KeyError("BTC/USDT")


class Counting(ReplayGateway):
    """Counts the orders that arrive."""

    submitted = 0

    async def submit(self, order, /):
        self.submitted += 1
        return await super().submit(order)


async def run(risk: RiskPolicy) -> tuple[BaseException | None, int, list[type]]:
    """How a run ended, how many orders were sent, and what the ledger knows."""
    gateway = Counting(Tape.of(planted_triangle(), []), balances={"USDT": "1000"})
    raised: BaseException | None = None
    async with gateway, SqlLedger("sqlite://") as ledger:
        try:
            await Engine(gateway, risk=risk, ledger=ledger, start=["USDT"]).run()
        except (Exception, Odd) as error:  # noqa: BLE001 - what it is, the test says
            raised = error
        return raised, gateway.submitted, [type(event) for event in ledger.events()]


FAILURES = [
    ZeroDivisionError,
    RecursionError,
    MemoryError,
    AssertionError,
    StopIteration,
    decimal.InvalidOperation,
    TimeoutError,
    None,
    True,
    Approved,
    Odd,
]
PLACES = {
    "alone": lambda broken: broken,
    "first of all": lambda broken: AllOf(broken, LIMITS),
    "last of all": lambda broken: AllOf(LIMITS, CircuitBreaker(), broken),
    "behind a refusal of all": lambda broken: AllOf(MaxNotional("1 EUR"), broken),
    "last in order": lambda broken: FirstRefusal(LIMITS, broken),
    "deep inside": lambda broken: FirstRefusal(LIMITS, AllOf(LIMITS, FirstRefusal(broken))),
}


async def test_the_market_is_traded_on_with_sound_policies() -> None:
    """What the other tests leave alone is there: with the same limits and nothing broken, three orders are sent."""
    for risk in (LIMITS, AllOf(LIMITS, CircuitBreaker())):
        raised, submitted, kinds = await run(risk)
        assert (raised, submitted) == (None, 3)
        assert Intended in kinds


@pytest.mark.once
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("failure", FAILURES, ids=str)
async def test_a_broken_policy_sends_nothing(failure, place) -> None:
    """E10: each kind of failure at each place ends the run with a violation, before anything was begun or intended."""
    raised, submitted, kinds = await run(place(Broken(failure)))
    assert isinstance(raised, Odd if failure is Odd else PolicyViolation)
    assert submitted == 0
    assert not {ExecutionStarted, Intended} & set(kinds)


@pytest.mark.parametrize("policy", [MaxNotional, MaxDailyLoss])
async def test_a_valuation_that_fails_sends_nothing(policy) -> None:
    """What a limit in money is valued by may fail in ways of its own: no order either."""
    raised, submitted, _ = await run(policy("100 EUR", Marks(NoValue())))
    assert isinstance(raised, PolicyViolation)
    assert submitted == 0


@pytest.mark.parametrize("bound", [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), 100.0])
async def test_a_bound_that_is_no_number_sends_nothing(bound) -> None:
    """Not alone, and not intersected with sound ones, whatever comparing it does."""

    class Bound(RiskPolicy):
        def review(self, opportunity, portfolio, now_ns, /):
            return Approved(opportunity, max_amount=bound)

    for risk in (Bound(), AllOf(Bound(), MaxDailyLoss("20 USDT")), AllOf(Bound(), Bound())):
        raised, submitted, _ = await run(risk)
        assert isinstance(raised, PolicyViolation)
        assert submitted == 0
