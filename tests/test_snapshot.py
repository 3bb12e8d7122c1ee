"""Snapshot files: read exactly, written so that they read back equal, and refused by one error that names the place."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from triarb.exceptions import SourceError
from triarb.market import FeeSchedule, RateTable, Snapshot
from triarb.market.snapshot import parse_json
from triarb.model import Fee, Market, Provenance, Quote
from triarb.testing.strategies import exchanges

D = Decimal
SNAPSHOTS = Path(__file__).parents[2] / "shared/data/snapshots"
NOON_NS = 1_767_614_400_000_000_000

GOOD = """{
 "exchange": "somewhere", "timestamp": "2026-01-05T12:00:00Z", "taker_fee": 0.001, "volumes": "top", "source": "by hand",
 "markets": [
  {"symbol": "A/B", "base": "A", "quote": "B", "bid": 1e-06, "ask": "0.000002"},
  {"symbol": "B/C", "base": "B", "quote": "C", "bid": 3.10, "ask": 4, "bidVolume": "5.0", "askVolume": null, "id": "BC", "active": true,
   "timestamp": 1767614399000, "taker": "-0.0001", "tickSize": 0.01, "stepSize": 1, "minQty": 2, "maxQty": 9, "minNotional": 5,
   "minFunds": 7, "maxNotional": 900, "maxFunds": 800, "minPrice": 0, "maxPrice": "1e3", "last": 3.5, "anything": [1]}
 ]
}"""


def written(folder: Path, text: str | bytes) -> Path:
    """A file that holds `text`."""
    path = folder / "snapshot.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refused(path: Path) -> SourceError:
    """The one error that loading `path` ends in: with a hint, in one line, naming the file, and no other behind it."""
    with pytest.raises(SourceError) as caught:
        Snapshot.load(path)
    error = caught.value
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert error.hint
    assert str(error) == f"{error.message} ({error.hint})"
    assert "\n" not in str(error)
    assert str(path) in error.message
    return error


def test_a_file_is_read_as_its_header_says(tmp_path: Path):
    """Every key in its place, numbers and text alike exact, what is not told None; of two limits the tighter one."""
    snapshot = Snapshot.load(written(tmp_path, GOOD))
    assert snapshot == Snapshot(
        "somewhere",
        NOON_NS,
        (
            Market("A/B", "A", "B"),
            Market(
                "B/C",
                "B",
                "C",
                exchange_id="BC",
                price_tick=D("0.01"),
                amount_step=D(1),
                min_amount=D(2),
                max_amount=D(9),
                min_notional=D(7),
                max_notional=D(800),
                min_price=None,
                max_price=D(1000),
                taker=D("-0.0001"),
            ),
        ),
        (
            Quote("A/B", D("0.000001"), D("0.000002"), received_ns=NOON_NS),
            Quote("B/C", D("3.1"), D(4), D(5), None, NOON_NS, NOON_NS - 1_000_000_000),
        ),
        D("0.001"),
        "top",
        "by hand",
    )
    assert not snapshot.generated
    assert isinstance(snapshot.quotes[0].bid, Decimal)


def test_a_number_of_a_file_never_passes_through_a_float(tmp_path: Path):
    """JSON numbers keep the digits that a float would lose."""
    digits = "0.123456789012345678901234567891"
    snapshot = Snapshot.load(written(tmp_path, GOOD.replace("3.10", digits)))
    assert str(snapshot.quotes[1].bid) == digits


def test_only_the_required_keys_are_required(tmp_path: Path):
    """Everything else has a meaning when it is missing or null: the same one."""
    bare = {"exchange": "x", "timestamp": "2026-01-05", "markets": []}
    market = {"symbol": "A/B", "base": "A", "quote": "B", "bid": None, "ask": 2}
    optional = (
        "bidVolume",
        "askVolume",
        "id",
        "timestamp",
        "taker",
        "tickSize",
        "stepSize",
        "minQty",
    )
    missing = {**bare, "markets": [market]}
    null = {
        **bare,
        "taker_fee": None,
        "source": None,
        "markets": [{**market, **dict.fromkeys(optional)}],
    }
    first = Snapshot.load(written(tmp_path, json.dumps(missing)))
    assert first == Snapshot.load(written(tmp_path, json.dumps(null)))
    assert (first.taker_fee, first.source, first.volumes) == (None, "", "top")
    assert first.markets == (Market("A/B", "A", "B"),)
    assert Snapshot.load(written(tmp_path, json.dumps(bare))).markets == ()


def test_a_source_of_any_form_is_kept_in_words(tmp_path: Path):
    """An object is shown as its JSON; one that begins with "generated" is told to everyone who asks."""
    told = {"repo": "a/b", "when": 1.5}
    snapshot = Snapshot.load(written(tmp_path, GOOD.replace('"by hand"', json.dumps(told))))
    assert json.loads(snapshot.source) == {"repo": "a/b", "when": "1.5"}
    assert not snapshot.generated
    made = Snapshot.load(written(tmp_path, GOOD.replace('"by hand"', '"generated: seed 1"')))
    assert made.generated


def test_fees_of_a_snapshot_are_what_it_says_of_them(tmp_path: Path):
    """The market's own, then the file's, then none."""
    snapshot = Snapshot.load(written(tmp_path, GOOD))
    assert snapshot.fees().fee("B/C") == Fee(D("-0.0001"), Provenance.MARKET)
    assert snapshot.fees().fee("A/B") == Fee(D("0.001"), Provenance.FILE)
    silent = attrs.evolve(snapshot, taker_fee=None)
    assert silent.fees().fee("A/B") is None
    assert silent.fees().fee("B/C") == Fee(D("-0.0001"), Provenance.MARKET)


limits = st.none() | st.decimals("1e-15", "1e9", places=15)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Snapshots with everything that a file can hold, times to the microsecond as files have them."""
    markets, _, quotes = draw(exchanges(max_assets=4, max_markets=6))
    micros = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
    now_ns = 1000 * draw(micros)
    fraction = st.none() | st.decimals("-0.099", "0.099", places=6)
    full = []
    for market in markets:
        more = {name: draw(limits) for name in ("max_amount", "max_notional", "min_price")}
        own = {"exchange_id": draw(st.text(max_size=5)), "taker": draw(fraction)}
        full.append(attrs.evolve(market, **more, **own))
    exact = st.none() | micros.map(lambda us: 1000 * us)
    timed = [attrs.evolve(q, received_ns=now_ns, exchange_ns=draw(exact)) for q in quotes]
    return Snapshot(
        draw(st.text(min_size=1, max_size=10)),
        now_ns,
        tuple(full),
        tuple(timed),
        draw(fraction),
        draw(st.sampled_from(["top", "aggregate"])),
        draw(st.text(max_size=20)),
    )


@pytest.mark.once
@given(snapshots())
@settings(max_examples=60)
def test_what_is_saved_is_loaded_equal(tmp_path_factory, snapshot: Snapshot):
    """Save and load is nothing, whatever a snapshot holds; and so is save, load and save."""
    path = tmp_path_factory.mktemp("saved") / "snapshot.json"
    snapshot.save(path)
    loaded = Snapshot.load(str(path))
    assert loaded == snapshot
    assert loaded.to_json() == snapshot.to_json() == json.loads(path.read_text(encoding="utf-8"))


@given(st.integers(1, 10**30 - 1), st.integers(-30, 30))
def test_numbers_at_the_bounds_are_saved_and_loaded(digits: int, first: int):
    """A price of 30 digits at 10**30 or 10**-30 is written out, without an exponent, and read back."""
    price = D(f"{digits}E{first - len(str(digits)) + 1}")
    snapshot = Snapshot("x", 0, (Market("A/B", "A", "B"),), (Quote("A/B", price, price, price),))
    text = json.dumps(snapshot.to_json())
    assert f"{price:f}".rstrip("0").rstrip(".") in text
    assert Snapshot.from_json(parse_json(text), "there") == snapshot


EDITS: list[tuple[str, str, str, str]] = [
    # what is replaced, by what, the code, what the message says after the file's name
    (GOOD, "", "not_json", " is not JSON: Expecting value: line 1 column 1 (char 0)"),
    (GOOD, "{", "not_json", " is not JSON: Expecting property name"),
    (GOOD, GOOD[:-1], "not_json", " is not JSON: Expecting ',' delimiter"),
    (GOOD, "[" * 100_000, "not_json", " is not JSON: it is nested too deeply"),
    ("3.10", "NaN", "not_json", " is not JSON: it holds NaN, which is not a JSON number"),
    ("3.10", "-Infinity", "not_json", " is not JSON: it holds -Infinity"),
    ("3.10", "1e999999999999999999999", "not_json", " is not JSON: it holds a number that no"),
    ("3.10", "9" * 5000, "not_json", " is not JSON: Exceeds the limit"),
    (GOOD, "[]", "invalid", ' has no list "markets"'),
    (GOOD, "null", "invalid", ' has no list "markets"'),
    (GOOD, '"text"', "invalid", ' has no list "markets"'),
    ('"markets"', '"market"', "invalid", ' has no list "markets"'),
    ('"timestamp": "2026-01-05T12:00:00Z"', '"t": 1', "invalid", ': "timestamp" is missing'),
    ('"2026-01-05T12:00:00Z"', '"noon"', "invalid", ": \"timestamp\" is 'noon'"),
    ('"2026-01-05T12:00:00Z"', "1767614400", "invalid", ': "timestamp" is 1767614400'),
    ('"2026-01-05T12:00:00Z"', "null", "invalid", ': "timestamp" is None'),
    (
        '"2026-01-05T12:00:00Z"',
        '"0001-01-01T00:00:00+09:00"',
        "invalid",
        ": \"timestamp\" is '0001-01-01T00:00:00+09:00'",
    ),
    ('"exchange": "somewhere"', '"venue": "x"', "invalid", ': "exchange" is missing'),
    ('"somewhere"', '""', "invalid", ": \"exchange\" is ''"),
    ('"somewhere"', "5", "invalid", ': "exchange" is 5'),
    ('"top"', '"total"', "invalid", ": \"volumes\" is 'total'"),
    ('"top"', "null", "invalid", ': "volumes" is None'),
    ('"top"', "[]", "invalid", ': "volumes" is []'),
    ('"taker_fee": 0.001', '"taker_fee": 0.1', "invalid", ': "taker_fee" is 0.1, a fee of 10 %'),
    ('"taker_fee": 0.001', '"taker_fee": -25', "invalid", ': "taker_fee" is -25, a fee of 10 %'),
    ('"taker_fee": 0.001', '"taker_fee": "0.1%"', "invalid", ": \"taker_fee\" '0.1%' is not a"),
    ('"taker_fee": 0.001', '"taker_fee": false', "invalid", ': "taker_fee" False is a bool'),
    ('"markets": [', '"markets": ["A/B", ', "invalid", ": markets[0] is not an object"),
    ('"symbol": "B/C", ', "", "invalid", ': markets[1] has no "symbol"'),
    ('"base": "B", ', "", "invalid", ': markets[1] has no "base"'),
    ('"quote": "C", ', "", "invalid", ': markets[1] has no "quote"'),
    ('"bid": 3.10, ', "", "invalid", ': markets[1] has no "bid"'),
    ('"ask": 4, ', "", "invalid", ': markets[1] has no "ask"'),
    ('"symbol": "B/C"', '"symbol": ""', "invalid", ": markets[1] (): \"symbol\" is ''"),
    ('"symbol": "B/C"', '"symbol": 7', "invalid", ': markets[1] (7): "symbol" is 7'),
    ('"base": "B"', '"base": null', "invalid", ': markets[1] (B/C): "base" is None'),
    ('"quote": "C"', '"quote": ["C"]', "invalid", ": markets[1] (B/C): \"quote\" is ['C']"),
    ('"quote": "C"', '"quote": "B"', "invalid", ": markets[1] (B/C): base and quote are both B"),
    ('"symbol": "B/C"', '"symbol": "A/B"', "invalid", ": markets[1] (A/B) is there twice"),
    ("3.10", "-3.10", "invalid", ': markets[1] (B/C): "bid" is -3.10, below zero'),
    ("3.10", '"NaN"', "invalid", ": markets[1] (B/C): \"bid\" 'NaN' is not finite"),
    ("3.10", '"-inf"', "invalid", ": markets[1] (B/C): \"bid\" '-inf' is not finite"),
    ("3.10", '"cheap"', "invalid", ": markets[1] (B/C): \"bid\" 'cheap' is not a number"),
    ("3.10", '""', "invalid", ": markets[1] (B/C): \"bid\" '' is not a number"),
    ("3.10", "true", "invalid", ': markets[1] (B/C): "bid" True is a bool'),
    ("3.10", "[3.10]", "invalid", ': markets[1] (B/C): "bid" '),
    ("3.10", "1e31", "invalid", ': markets[1] (B/C): "bid" 1E+31 has more digits'),
    ('"ask": 4', '"ask": -4', "invalid", ': markets[1] (B/C): "ask" is -4, below zero'),
    ('"5.0"', '"-5.0"', "invalid", ': markets[1] (B/C): "bidVolume" is -5.0, below zero'),
    ('"stepSize": 1', '"stepSize": -1', "invalid", ': markets[1] (B/C): "stepSize" is -1, below'),
    ('"minFunds": 7', '"minFunds": "x"', "invalid", ": markets[1] (B/C): \"minFunds\" 'x' is not"),
    ('"-0.0001"', '"0.25"', "invalid", ': markets[1] (B/C): "taker" is 0.25, a fee of 10 %'),
    ('"-0.0001"', '"inf"', "invalid", ": markets[1] (B/C): \"taker\" 'inf' is not finite"),
    ('"active": true', '"active": 1', "invalid", ': markets[1] (B/C): "active" is 1'),
    ('"active": true', '"active": "yes"', "invalid", ": markets[1] (B/C): \"active\" is 'yes'"),
    ("1767614399000", '"noon"', "invalid", ": markets[1] (B/C): \"timestamp\" is 'noon'"),
    ("1767614399000", "true", "invalid", ': markets[1] (B/C): "timestamp" is True'),
    ("1767614399000", "[]", "invalid", ': markets[1] (B/C): "timestamp" is []'),
    ("1767614399000", "1e29", "invalid", ': markets[1] (B/C): "timestamp" is '),
]


@pytest.mark.parametrize(
    ("old", "new", "code", "says"), EDITS, ids=[f"{n}-{edit[2]}" for n, edit in enumerate(EDITS)]
)
def test_a_bad_file_is_one_error_that_names_place_and_value(
    tmp_path: Path, old: str, new: str, code: str, says: str
):
    """One slip in a good file: the code, the file, the market, the key and the value, and a hint at the mend."""
    assert GOOD.count(old) == 1
    path = written(tmp_path, GOOD.replace(old, new))
    error = refused(path)
    assert error.code == f"source.{code}"
    assert error.message.startswith(f"{path}{says}")


def a_folder(folder: Path) -> Path:
    """A path at which there is a folder."""
    return folder


def no_file(folder: Path) -> Path:
    """A path at which there is nothing."""
    return folder / "nothing.json"


def not_text(folder: Path) -> Path:
    """A file of bytes that are no UTF-8."""
    return written(folder, GOOD.replace("somewhere", "Zürich").encode("latin-1"))


def below_a_file(folder: Path) -> Path:
    """A path through a file."""
    return written(folder, GOOD) / "more.json"


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (no_file, "source.missing", "there is no file {}"),
        (a_folder, "source.unreadable", "{} cannot be read: Is a directory"),
        (below_a_file, "source.unreadable", "{} cannot be read: Not a directory"),
        (not_text, "source.unreadable", "{} cannot be read: it is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_error(
    tmp_path: Path, make: Callable[[Path], Path], code: str, says: str
):
    """Not there, not a file, not text: the path and the reason."""
    path = make(tmp_path)
    error = refused(path)
    assert (error.code, error.message) == (code, says.format(path))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "1", "-1", "NaN", "A", "top", "2026-01-05", "1e400"]),
    lambda children: (
        st.lists(children, max_size=2) | st.dictionaries(st.text(), children, max_size=2)
    ),
    max_leaves=4,
)


def snapshot_or_refusal(entry: dict[str, Any]) -> Snapshot | SourceError:
    """What becomes of a file that says `entry`."""
    try:
        return Snapshot.from_json(parse_json(json.dumps(entry)), "the file")
    except SourceError as error:
        return error


@given(data=st.data())
@settings(max_examples=150)
def test_anything_in_any_place_is_taken_or_refused_by_name(data: st.DataObject):
    """Whatever JSON stands under a key, loading gives a snapshot or one SourceError, never another error."""
    entry: dict[str, Any] = json.loads(GOOD)
    target = data.draw(st.sampled_from([entry, entry["markets"][1]]))
    key = data.draw(st.sampled_from(sorted(target)))
    target[key] = data.draw(JSON)
    read = snapshot_or_refusal(entry)
    if isinstance(read, Snapshot):
        assert snapshot_or_refusal(read.to_json()) == read
    else:
        assert read.message.startswith("the file")
        assert read.hint


def ccxt_market(symbol: str, **changes: Any) -> dict[str, Any]:
    """A spot market as ccxt tells of it."""
    base, quote = symbol.split("/")
    told = {
        "symbol": symbol,
        "id": base + quote,
        "base": base,
        "quote": quote,
        "spot": True,
        "active": True,
        "taker": 0.001,
        "precision": {"price": 0.01, "amount": 1e-05},
        "limits": {"amount": {"min": 0.001, "max": None}, "cost": {"min": 5.0}},
    }
    return {**told, **changes}


def test_a_snapshot_of_what_ccxt_returned(tmp_path: Path):
    """Spot markets only; a market without a ticker is one-sided, one that makes no sense inactive; it can be saved."""
    markets = {
        "A/B": ccxt_market("A/B"),
        "A/B:B": ccxt_market("A/B", spot=False),
        "B/C": ccxt_market("B/C"),
        "C/D": ccxt_market("C/D", limits={"amount": {"min": "junk"}}),
        "D/E": ccxt_market("D/E", limits=[1]),
        "E/E": ccxt_market("E/E"),
        "F/G": ccxt_market("F/G", base=None),
        "G/H": ccxt_market("G/H", active=False),
    }
    tickers = {
        "A/B": {"bid": 0.1, "ask": 0.2, "bidVolume": 3.0, "timestamp": 1767614399000},
        "B/C": None,
        "C/D": {"bid": 1.0, "ask": 2.0},
    }
    snapshot = Snapshot.from_ccxt(markets, tickers, exchange="binance", timestamp_ns=NOON_NS)
    assert [market.symbol for market in snapshot.markets] == ["A/B", "B/C", "C/D", "D/E", "G/H"]
    assert [market.active for market in snapshot.markets] == [True, True, False, False, False]
    assert snapshot.markets[2] == Market("C/D", "C", "D", active=False)
    assert snapshot.quotes[0] == Quote(
        "A/B", D("0.1"), D("0.2"), D(3), None, NOON_NS, NOON_NS - 1_000_000_000
    )
    table = RateTable(snapshot.markets, FeeSchedule.flat(0), snapshot.quotes)
    assert table.refused == {"market.inactive": 3, "market.one_sided": 1}
    assert snapshot.source == "ccxt"
    path = tmp_path / "saved.json"
    snapshot.save(path)
    assert Snapshot.load(path) == snapshot


@pytest.mark.skipif(
    not SNAPSHOTS.is_dir(), reason=f"the recorded snapshots are missing: {SNAPSHOTS}"
)
@pytest.mark.parametrize(
    ("file", "markets", "usable", "assets", "refusals"),
    [
        ("binance_2019-08-22", 595, 546, 167, {"market.inactive": 49}),
        ("okex_2020-03-27", 371, 371, 146, {}),
        ("kucoin_2019-02-21", 394, 394, 182, {}),
        ("bitfinex_2019-11-01", 423, 423, 161, {}),
        ("gate_2017-11-23", 130, 127, 65, {"market.crossed": 1, "market.one_sided": 2}),
        ("stex_2019-03-18", 399, 363, 289, {"market.one_sided": 36}),
    ],
)
def test_recorded_exchanges_are_read_whole(
    tmp_path: Path, file: str, markets: int, usable: int, assets: int, refusals: dict[str, int]
):
    """All markets are kept, the usable ones counted as the recording says; saved, they read back equal."""
    path = SNAPSHOTS / f"{file}.json"
    snapshot = Snapshot.load(path)
    assert len(snapshot.markets) == len(snapshot.quotes) == markets
    assert [m.symbol for m in snapshot.markets] == [q.symbol for q in snapshot.quotes]
    table = RateTable(snapshot.markets, snapshot.fees(), snapshot.quotes)
    view = table.view()
    assert len(table.usable) == usable
    assert (
        len({a for s in table.usable for a in (view.markets[s].base, view.markets[s].quote)})
        == assets
    )
    assert table.refused == refusals
    raw = json.loads(path.read_text(encoding="utf-8"), parse_float=str, parse_int=str)
    for entry, quote in zip(raw["markets"], snapshot.quotes, strict=True):
        for key, number in (("bid", quote.bid), ("ask", quote.ask), ("bidVolume", quote.bid_size)):
            assert number == (None if entry.get(key) is None else D(entry[key]))
    snapshot.save(tmp_path / "saved.json")
    assert Snapshot.load(tmp_path / "saved.json") == snapshot
