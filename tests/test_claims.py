"""What of an account is the engine's: claims, drift, and who else trades there."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from triarb import Engine, FeeSchedule, PaperGateway, ReplayGateway, RiskLimits, SqlLedger, Tape
from triarb.clock import NS_PER_SECOND, ManualClock
from triarb.exceptions import GatewayError, GatewayUnavailable, LedgerError, UsageError
from triarb.execution.claims import Claim, compare, look_around, surprises
from triarb.execution.ids import client_id
from triarb.execution.resolving import flow
from triarb.gateways.ccxt import CcxtGateway
from triarb.gateways.gateway import Listing
from triarb.market import RateTable
from triarb.model import (
    Balance,
    EpochStarted,
    ExecutionStarted,
    Halted,
    Intended,
    Listed,
    Order,
    Portfolio,
    Quote,
    Side,
    TimeInForce,
)
from triarb.testing import FaultyGateway
from triarb.testing.execution import _plan
from triarb.testing.faults import Answer, Endpoint, FaultRule, FaultScript, Lag
from triarb.testing.loopback import LoopbackExchange, in_background
from triarb.testing.market import START_NS, planted_triangle

D = Decimal
LIMITS = RiskLimits(min_edge_bps=1, max_notional="100 USDT", max_daily_loss="20 USDT")
SNAPSHOT = planted_triangle()
PLAN = _plan(RateTable(SNAPSHOT.markets, SNAPSHOT.fees(), SNAPSHOT.quotes))
PROCESS = Path(__file__).parent / "trading_process.py"


def quote(seconds):
    """The market of BTC/USDT as it opens, so many seconds later."""
    numbers = [D(number) for number in ("99.9", "100", "3", "3")]
    return Quote("BTC/USDT", *numbers, START_NS + seconds * NS_PER_SECOND)


def replay(*changes, **held):
    """A replayed account that holds so much."""
    return ReplayGateway(Tape.of(planted_triangle(), changes), balances=held or {"USDT": "1000"})


def account(gateway):
    """A gateway as a real one is: what it holds is not ours to restore."""

    class Real:
        def __getattr__(self, name):
            if name == "restore":
                raise AttributeError(name)
            return getattr(gateway, name)

        async def open_orders(self):
            return await gateway.open_orders()

        async def orders_since(self, symbol, since_ns, /):
            return await gateway.orders_since(symbol, since_ns)

    return Real()


async def opened(gateway, ledger, **options):
    """An engine that began, and what it found."""
    engine = Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"], **options)
    async with engine:
        return engine


@pytest.fixture
async def ledger():
    """A new one."""
    async with SqlLedger("sqlite://") as made:
        yield made


# Claims


async def test_a_ledger_opens_with_at_most_what_is_claimed(ledger):
    """A claim takes at most so much of the assets it names; the rest of the account is noted as somebody else's."""
    gateway = account(replay(USDT="1000", BTC="2", ETH="0.5"))
    claim = {"USDT": "500", "ETH": "3", "XRP": D(7)}
    engine = await opened(gateway, ledger, claim=claim)
    portfolio = ledger.portfolio()
    assert dict(portfolio.balances) == {"USDT": 500, "ETH": D("0.5")}
    assert dict(portfolio.beyond) == {"USDT": 500, "BTC": 2}
    assert dict(portfolio.claim) == {"USDT": 500, "ETH": 3, "XRP": 7}
    assert str(engine.recovery) == (
        "ETH: the ledger opens with 0.5\nUSDT: the ledger opens with 500"
    )


async def test_without_a_claim_all_that_is_free_is_taken_and_nothing_that_is_locked(ledger):
    """What is locked is in somebody's orders: it is not the engine's, whatever becomes of them."""
    gateway = replay(USDT="1000")
    async with gateway:
        await gateway.order_book("BTC/USDT")
        resting = Order("web_1", "BTC/USDT", Side.BUY, D(1), D(50), TimeInForce.GTC)
        await gateway.submit(resting)
        await opened(account(gateway), ledger)
        assert dict(ledger.portfolio().balances) == {"USDT": 950}
        assert ledger.portfolio().claim is None
        await gateway.cancel("web_1", "BTC/USDT")
        await opened(account(gateway), ledger)
        assert dict(ledger.portfolio().balances) == {"USDT": 950}
        assert dict(ledger.portfolio().beyond) == {"USDT": 50}
        assert ledger.portfolio().halted is None


async def test_an_engine_trades_with_what_it_claimed_and_its_owner_moves_the_rest_freely(ledger):
    """What is beyond the claim may come and go; what of the claim is missing halts, durably, by asset."""
    gateway = replay(quote(1), USDT="1000")
    async with gateway:
        await opened(account(gateway), ledger, claim={"USDT": "40"})
        engine = Engine(account(gateway), risk=LIMITS, ledger=ledger, start=["USDT"])
        report = await engine.run(cycles=1)
        [execution] = report.executions
        assert execution.plan.at_stake <= 40
        held = ledger.portfolio().balances["USDT"]
        for amount in (held, held + 5000):
            gateway.engine.set_balance("USDT", amount)
            await opened(account(gateway), ledger)
            assert (ledger.portfolio().balances["USDT"], ledger.portfolio().halted) == (held, None)
        gateway.engine.set_balance("USDT", held - 1)
        engine = await opened(account(gateway), ledger)
        assert engine.recovery.missing == {"USDT": 1}
        assert ledger.portfolio().halted == "the exchange holds 1 USDT less than the ledger"


async def test_a_claim_is_stated_once(ledger):
    """A ledger goes on under its claim; another one is refused, and a flow changes what is held."""
    gateway = account(replay(USDT="1000"))
    await opened(gateway, ledger, claim={"USDT": "500"})
    await opened(gateway, ledger)
    await opened(gateway, ledger, claim={"USDT": "500.0"})
    with pytest.raises(UsageError, match="opened with 500 USDT") as caught:
        await opened(gateway, ledger, claim={"USDT": "600"})
    assert caught.value.code == "claim.changed"
    await flow(ledger, "USDT", D(100), 0, "more")
    await opened(gateway, ledger)
    portfolio = ledger.portfolio()
    assert (portfolio.balances["USDT"], portfolio.beyond["USDT"]) == (600, 400)


async def test_a_claim_on_a_ledger_that_took_everything_is_refused(ledger):
    """Who limits an engine afterwards is told that it has more already."""
    gateway = account(replay())
    await opened(gateway, ledger)
    with pytest.raises(UsageError, match="opened with everything"):
        await opened(gateway, ledger, claim={"USDT": "500"})


async def test_a_simulated_account_goes_on_with_what_is_beyond_the_ledger():
    """A paper account is restored whole, so that nothing of it seems to have moved."""
    async with SqlLedger("sqlite://") as ledger:
        await opened(replay(), ledger, claim={"USDT": "400"})
        again = replay()
        engine = await opened(again, ledger)
        assert again.engine.balances["USDT"].free == 1000
        assert engine.recovery.drift == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"claim": {"USDT": "many"}}, "claim on USDT"),
        ({"claim": {"USDT": "0"}}, "claim on USDT is 0"),
        ({"claim": {"USDT": "-1"}}, "claim on USDT is -1"),
        ({"foreign_prefixes": "web_"}, r"\['web_'\]"),
        ({"foreign_prefixes": [" "]}, "prefix is empty"),
        ({"watch_seconds": 0}, "watch_seconds is 0"),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused(options, said):
    """Each is one clear error before anything is opened."""
    with pytest.raises(UsageError, match=said):
        Engine(replay(), risk=LIMITS, **options)


async def test_a_ledger_is_of_one_account(ledger):
    """A paper ledger is not gone on with in a replay, nor one exchange's on another."""
    await opened(replay(), ledger)
    paper = PaperGateway(replay(), balances={"USDT": "1"}, fees=FeeSchedule.flat("10"))
    with pytest.raises(LedgerError, match="the ledger is of generated replay") as caught:
        await opened(paper, ledger)
    assert caught.value.code == "ledger.other_account"


# Balances


def test_of_an_uncertain_asset_nothing_is_said():
    """Drift in the assets of an order that is not proven is told, and changes neither what is missing nor beyond."""
    portfolio = Portfolio(balances={"USDT": D(10), "BTC": D(1)}, beyond={"USDT": D(3)})
    told = {"USDT": Balance(D(2), D(100)), "BTC": Balance(D(5))}
    found = compare(portfolio, told, {"USDT"})
    assert found.drift == {"USDT": -11, "BTC": 4}
    assert (found.missing, found.beyond) == ({}, {"USDT": 3, "BTC": 4})
    found = compare(portfolio, told)
    assert (found.missing, found.beyond) == ({"USDT": 8}, {"BTC": 4})


async def test_drift_is_noticed_while_running(ledger):
    """B6: what is missing halts between two cycles, without a restart; what comes is noted once and not traded with."""
    gateway = replay(quote(1), quote(70), quote(140), quote(210), USDT="1000")
    async with (
        gateway,
        Engine(account(gateway), risk=LIMITS, ledger=ledger, start=["USDT"]) as engine,
    ):
        seen = []
        for change in (0, 7, -100):
            await engine.step()
            gateway.engine.deposit("USDT", D(change))
            seen.append(ledger.portfolio().halted)
        await engine.step()
        assert seen == [None, None, None]
        assert ledger.portfolio().halted.endswith("less than the ledger")
        assert [type(e) for e in ledger.events() if isinstance(e, Halted)] == [Halted]
        assert await engine.step() is None


async def test_what_cannot_be_read_while_running_stops_nothing(ledger):
    """A look that fails is made again the next time."""
    gateway = replay(quote(70), quote(140), USDT="1000")
    real = account(gateway)
    async with gateway, Engine(real, risk=LIMITS, ledger=ledger, start=["USDT"]) as engine:
        failing = []

        async def balances():
            failing.append(1)
            raise GatewayUnavailable("no answer", code="gateway.unavailable")

        real.balances = balances
        for _ in range(3):
            await engine.step()
        assert failing
        assert ledger.portfolio().halted is None


async def test_never_is_proven_beside_money_of_others(ledger):
    """A1: that an order never arrived is proven by unchanged balances also where the account holds more than the ledger."""
    async with replay(USDT="1000") as gateway:
        await opened(account(gateway), ledger, claim={"USDT": "500"})
        order = Order("triabcdn1l1a0", "BTC/USDT", Side.BUY, D("1"), D("100.00"))
        await ledger.append(ExecutionStarted(0, 1, PLAN))
        await ledger.append(Intended(0, 1, 1, order))
        engine = await opened(account(gateway), ledger)
        assert {cid: str(o) for cid, o in engine.recovery.proven.items()} == {
            order.client_id: "never"
        }


# Who else trades there

KNOWN = Portfolio(epochs={"3f9a01c2": 5}, started=2)


@pytest.mark.parametrize(
    ("client", "prefixes", "is_one"),
    [
        (client_id("3f9a01c2", 2, 1), None, False),
        (client_id("3f9a01c2", 3, 1), None, True),
        (client_id("aaaaaaaa", 1, 1), None, True),
        (client_id("aaaaaaaa", 1, 1), ["tri"], True),
        ("trident-5", None, False),
        ("web_1", None, False),
        ("web_1", [], True),
        ("web_1", ["and_", "web_"], False),
        ("", None, False),
        ("", ["web_"], True),
    ],
)
def test_which_orders_are_no_surprise(client, prefixes, is_one):
    """E6, E7: another triarb's, or our own from after the journal's end, always are; others' only where the owner stated some."""
    found = surprises([Listed(client, "ETH/BTC")], KNOWN, (), prefixes)
    assert bool(found) is is_one
    assert all("ETH/BTC" in sentence for sentence in found)


async def test_an_order_of_an_execution_that_the_journal_shows_open_must_be_in_it(ledger):
    """E7: a backup that ends in the middle of an execution does not hide the orders that came after it."""
    await ledger.append(EpochStarted(0, "abcd"))
    await ledger.append(ExecutionStarted(0, 1, PLAN))
    first = Order("triabcdn1l1a0", "BTC/USDT", Side.BUY, D("1"), D("100.00"))
    await ledger.append(Intended(0, 1, 1, first))
    ids = ["triabcdn1l1a0", "triabcdn1l2a0"]
    found = surprises(
        [Listed(cid, "BTC/USDT") for cid in ids], ledger.portfolio(), ledger.unfinished()
    )
    assert len(found) == 1
    assert "triabcdn1l2a0" in found[0]


async def resting(gateway, client):
    """An order of that id rests at the exchange."""
    await gateway.order_book("BTC/USDT")
    order = Order(client, "BTC/USDT", Side.BUY, D(1), D(50), TimeInForce.GTC)
    await gateway.submit(order)


async def test_another_triarbs_open_order_halts_a_start_and_is_left_alone(ledger):
    """E6: two ledgers on one account: whoever sees the other's open order halts, durably, and cancels nothing."""
    async with replay() as gateway:
        await resting(gateway, client_id("ffffffff", 1, 1))
        engine = await opened(account(gateway), ledger)
        [said] = engine.recovery.surprises
        assert "triffffffffn1l1a0 on BTC/USDT is of a triarb" in said
        assert ledger.portfolio().halted == f"somebody else trades here: {said}"
        assert said in str(engine.recovery)
        assert len(gateway.engine.open_orders()) == 1


async def test_another_triarb_is_noticed_while_running(ledger):
    """E6: the same order halts an engine that runs, at its next look."""
    gateway = replay(quote(1), quote(70), quote(140))
    async with (
        gateway,
        Engine(account(gateway), risk=LIMITS, ledger=ledger, start=["USDT"]) as engine,
    ):
        await engine.step()
        await resting(gateway, client_id("ffffffff", 1, 1))
        for _ in range(3):
            await engine.step()
        assert "somebody else trades here" in ledger.portfolio().halted


async def test_the_owners_orders_are_left_alone(ledger):
    """B6: with the prefixes that the owner states, their orders rest on, and their funds do not count."""
    async with replay() as gateway:
        await resting(gateway, "web_77")
        await opened(account(gateway), ledger, foreign_prefixes=["web_"])
        assert ledger.portfolio().halted is None
        assert dict(ledger.portfolio().balances) == {"USDT": 950}
        await opened(account(gateway), ledger, foreign_prefixes=["and_"])
        assert "web_77 on BTC/USDT is not as any that the owner stated" in ledger.portfolio().halted
        assert [o.client_id for o in gateway.engine.open_orders()] == ["web_77"]


async def test_an_old_backup_is_noticed_by_orders_that_are_newer(tmp_path):
    """E7: who restores an old ledger and starts is halted by what the account traded since, and told which order."""
    path, backup = tmp_path / "ledger.sqlite", tmp_path / "backup.sqlite"
    gateway = replay(*(quote(n) for n in range(1, 9)))
    async with gateway:
        for copy in (True, False):
            async with SqlLedger(path) as ledger:
                engine = Engine(account(gateway), risk=LIMITS, ledger=ledger, start=["USDT"])
                await engine.run(cycles=1)
            if copy:
                backup.write_bytes(path.read_bytes())
        async with SqlLedger(backup) as restored:
            engine = await opened(account(gateway), restored)
            assert any("n2l1a0" in said for said in engine.recovery.surprises)
            assert "somebody else trades here" in restored.portfolio().halted
        async with SqlLedger(path) as ledger:
            engine = await opened(account(gateway), ledger)
            assert engine.recovery.surprises == ()
            assert ledger.portfolio().halted is None


async def test_where_orders_cannot_be_listed_nothing_is_said(ledger):
    """An exchange that cannot list them is no reason not to trade; one that does not answer is none to begin."""

    class Mute(Listing):
        code = "gateway.unsupported"

        async def open_orders(self):
            raise GatewayError("no", code=self.code)

        async def orders_since(self, symbol, since_ns, /):
            raise AssertionError

    gateway, clock = Mute(), ManualClock(0)
    emit = [].append
    assert await look_around(ledger, gateway, clock, Claim(), emit=emit) == []
    assert await look_around(ledger, object(), clock, Claim(), emit=emit) == []
    Mute.code = "gateway.unavailable"
    with pytest.raises(GatewayError):
        await look_around(ledger, gateway, clock, Claim(), emit=emit)


async def test_every_gateway_that_lists_orders_lists_the_same():
    """Paper, faults in memory and real ccxt over the wire tell the same orders, open and past."""
    snapshot = planted_triangle()
    rest = Order("web_1", "BTC/USDT", Side.BUY, D(1), D(50), TimeInForce.GTC)
    done = Order("web_2", "BTC/USDT", Side.BUY, D("0.1"), D(101))
    async with LoopbackExchange(snapshot, balances={"USDT": "1000"}) as exchange:
        real = CcxtGateway(
            "binance",
            credentials=exchange.credentials,
            session_factory=exchange.session_factory,
        )
        for gateway in (replay(), FaultyGateway(replay(), FaultScript()), real):
            assert isinstance(gateway, Listing)
            async with gateway:
                began_ns = gateway.clock.now_ns()
                await gateway.order_book("BTC/USDT")
                for order in (rest, done):
                    await gateway.submit(order)
                assert [one.client_id for one in await gateway.open_orders()] == ["web_1"]
                past = await gateway.orders_since("BTC/USDT", began_ns - NS_PER_SECOND)
                assert list(past) == [Listed("web_1", "BTC/USDT"), Listed("web_2", "BTC/USDT")]
                assert list(await gateway.orders_since("ETH/USDT", 0)) == []
                assert list(await gateway.orders_since("GONE/USDT", 0)) == []


async def test_an_exchange_that_cannot_list_says_so_and_nonsense_is_none():
    """Where ccxt has no way to ask, the code tells, so that an engine goes on; an answer that makes no sense does not."""
    async with LoopbackExchange(SNAPSHOT, balances={"USDT": "1000"}) as exchange:
        real = CcxtGateway(
            "binance", credentials=exchange.credentials, session_factory=exchange.session_factory
        )
        async with real:
            exchange.inject(FaultRule(Endpoint.OPEN_ORDERS, Answer(200, body="[1]")))
            with pytest.raises(GatewayError) as nonsense:
                await real.open_orders()
            assert nonsense.value.code == "gateway.malformed"
            real._account.line.instance.has["fetchOpenOrders"] = False
            with pytest.raises(GatewayError, match="binance cannot list open orders") as unable:
                await real.open_orders()
            assert unable.value.code == "gateway.unsupported"


async def test_an_answer_that_lags_lists_what_was():
    """A listing may be old: an order that has just come is not on it yet."""
    script = FaultScript([FaultRule(Endpoint.OPEN_ORDERS, Lag(seconds=5), times=None)])
    async with FaultyGateway(replay(), script) as gateway:
        await resting(gateway, "web_1")
        assert list(await gateway.open_orders()) == []
        await gateway.clock.sleep(6)
        assert list(await gateway.open_orders()) == [Listed("web_1", "BTC/USDT")]


# One engine per ledger


async def test_a_writer_whose_journal_went_on_without_it_sends_nothing(tmp_path):
    """I15, E6: the journal's sequence is the fencing token: a stale engine fails its append before any order leaves."""
    path = tmp_path / "ledger.sqlite"
    gateway = FaultyGateway(replay(quote(1), quote(2)), FaultScript())
    async with gateway, SqlLedger(path) as stale:
        real = account(gateway)
        async with Engine(real, risk=LIMITS, ledger=stale, start=["USDT"]) as engine:
            path.with_name(
                f"{path.name}.lock"
            ).unlink()  # a lock that does not hold, as on some network drives
            async with SqlLedger(path) as new:
                await opened(account(gateway), new)
            with pytest.raises(LedgerError) as caught:
                await engine.step()
            assert caught.value.code == "ledger.moved"
            assert not gateway.posts()


@pytest.mark.once
def test_of_two_processes_on_one_ledger_one_trades(tmp_path):
    """I15, E6: a second process on the same ledger ends with a clear word, and no order is its own."""
    path = str(tmp_path / "ledger.sqlite")
    with in_background(planted_triangle(), balances={"USDT": "1000"}) as exchange:
        command = [sys.executable, str(PROCESS), str(exchange.port), path]
        first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert first.stdout.readline() == "trading\n"
            second = subprocess.run(command, capture_output=True, text=True, check=False)
            assert second.returncode != 0
            assert f"process {first.pid} is using it" in second.stderr
        finally:
            first.kill()
            first.communicate()
        epochs = {cid.partition("n")[0] for cid in exchange.posts()}
        assert len(epochs) <= 1
