"""Tapes: what is written comes back equal, lazily, and what makes no sense is refused by name."""

import gzip
import json
from decimal import Decimal

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from triarb.exceptions import SourceError
from triarb.market import Snapshot
from triarb.market.generator import GeneratedExchange
from triarb.market.tape import Tape
from triarb.model import Market, Provenance, Quote, Withdrawn

START_NS = 1_700_000_000_000_000_000
SNAPSHOT = Snapshot(
    "example",
    START_NS,
    (
        Market("A/B", "A", "B", exchange_id="AB", price_tick=Decimal("0.01")),
        Market("C/B", "C", "B", exchange_id="CB", taker=Decimal("0.0005")),
    ),
    (
        Quote("A/B", Decimal("1.01"), Decimal("1.02"), Decimal(5), Decimal(6), START_NS),
        Quote("C/B", None, Decimal(3), None, Decimal(1), START_NS, START_NS - 1000),
    ),
    Decimal("0.001"),
    source="example of a tape",
)
QUOTE = Quote("A/B", Decimal("1.03"), Decimal("1.04"), None, Decimal(7), START_NS + 1, START_NS)

prices = st.none() | st.decimals(0, 10**12, allow_nan=False, places=8)
moments = st.integers(0, 10**12)
quotes = st.builds(
    Quote,
    st.sampled_from(["A/B", "C/B"]),
    prices,
    prices,
    prices,
    prices,
    moments,
    st.none() | moments,
)
withdrawals = st.builds(Withdrawn, st.sampled_from(["A/B", "C/B"]), moments)


@st.composite
def changes(draw):
    """Changes in order of time, from the snapshot's on, several of them often at one instant."""
    drawn = draw(st.lists(quotes | withdrawals, max_size=20))
    gaps = draw(st.lists(st.integers(0, 2), min_size=len(drawn), max_size=len(drawn)))
    now_ns, result = START_NS, []
    for change, gap in zip(drawn, gaps, strict=True):
        now_ns += gap
        result.append(attrs.evolve(change, received_ns=now_ns))
    return result


def written(path, *lines):
    """A tape file with a good first line and these after it."""
    Tape.write(path, SNAPSHOT, [])
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines)
    return path


@pytest.mark.once
@given(changes(), st.sampled_from(["tape.jsonl", "tape.jsonl.gz"]))
@settings(deadline=None)
def test_what_is_written_comes_back_equal(tmp_path_factory, taken, name):
    """A tape read from a file, plain or compressed, is the one that was written, as often as it is played."""
    path = tmp_path_factory.mktemp("tape") / name
    assert Tape.write(path, SNAPSHOT, iter(taken)) == len(taken)
    tape, kept = Tape.load(path), Tape.of(SNAPSHOT, iter(taken))
    assert tape.snapshot == SNAPSHOT
    for _ in range(2):
        assert list(tape.batches()) == list(kept.batches())
    first, *rest = kept.batches()
    assert first == SNAPSHOT.quotes
    assert [change for batch in rest for change in batch] == taken
    instants = [{change.received_ns for change in batch} for batch in rest]
    assert all(len(instant) == 1 for instant in instants)
    assert len(instants) == len({change.received_ns for change in taken})


def test_a_tape_tells_what_it_is_of():
    """Exchange, source, markets and fees are those of its snapshot."""
    tape = Tape.of(SNAPSHOT, [])
    assert (tape.exchange, tape.source, tape.markets) == (
        "example",
        "example of a tape",
        SNAPSHOT.markets,
    )
    assert tape.fees().fee("A/B").provenance is Provenance.FILE
    assert tape.fees().fee("C/B").rate == Decimal("0.0005")


@pytest.mark.parametrize("name", ["tape.jsonl", "tape.jsonl.gz"])
def test_generated_ticks_come_back_equal(tmp_path, name):
    """A generated exchange on a tape is what it was, still says that it is generated, and compresses to equal files."""
    exchange = GeneratedExchange(150, seed=6, dislocations_per_minute=300)
    ticks = list(exchange.ticks(5))
    path = tmp_path / name
    assert Tape.write(path, exchange.snapshot(), exchange.ticks(5)) == len(ticks)
    tape = Tape.load(path)
    assert tape.snapshot == exchange.snapshot()
    assert tape.source.startswith("generated")
    first, *rest = tape.batches()
    assert first == exchange.snapshot().quotes
    assert [change for batch in rest for change in batch] == ticks
    before = path.read_bytes()
    Tape.write(path, exchange.snapshot(), ticks)
    assert path.read_bytes() == before


def test_a_line_is_read_when_it_is_come_to(tmp_path):
    """A tape loads and plays up to the instant before a line that makes no sense; only there it stops."""
    lines = [f'{{"symbol":"A/B","received_ns":{START_NS + i},"bid":1,"ask":2}}\n' for i in range(4)]
    path = written(tmp_path / "tape.jsonl", *lines, "nonsense\n")
    batches = Tape.load(path).batches()
    assert [len(next(batches)) for _ in range(3)] == [2, 1, 1]
    with pytest.raises(SourceError, match=r"tape\.jsonl, line 6 is not JSON.*nonsense"):
        list(batches)


def test_changes_are_written_as_they_come(tmp_path):
    """When changes break off with an error, the file holds those before it and can be played."""
    path = tmp_path / "tape.jsonl"

    def broken():
        yield QUOTE
        yield attrs.evolve(QUOTE, received_ns=START_NS)

    with pytest.raises(SourceError, match="change 2"):
        Tape.write(path, SNAPSHOT, broken())
    assert list(Tape.load(path).batches()) == [SNAPSHOT.quotes, (QUOTE,)]


def test_numbers_are_read_from_their_text(tmp_path):
    """JSON numbers keep every digit, and null is a side that is not there."""
    line = f'{{"symbol":"A/B","received_ns":{START_NS},"bid":0.1000000000000000055,"ask":null}}\n'
    (_, (quote,)) = Tape.load(written(tmp_path / "tape.jsonl", line)).batches()
    assert quote == Quote("A/B", Decimal("0.1000000000000000055"), None, received_ns=START_NS)


@pytest.mark.parametrize(
    ("entry", "code", "named"),
    [
        ([1], "source.invalid", r"not an object: \[1\]"),
        ({}, "source.invalid", '"symbol" is missing'),
        ({"symbol": 7}, "source.invalid", '"symbol" is 7'),
        ({"symbol": "X/Y"}, "source.invalid", "'X/Y', which the snapshot does not have"),
        ({"received_ns": None}, "source.invalid", 'no "received_ns"'),
        ({"received_ns": 1.5}, "source.invalid", '"received_ns" is Decimal..1.5'),
        ({"received_ns": True}, "source.invalid", '"received_ns" is True'),
        ({"received_ns": -1}, "source.invalid", '"received_ns" is -1'),
        ({"received_ns": 5}, "source.out_of_order", f'"received_ns" is 5, but {START_NS + 9}'),
        ({"exchange_ns": "now"}, "source.invalid", "\"exchange_ns\" is 'now'"),
        ({"bid": "much"}, "source.invalid", "\"bid\" 'much' is not a number"),
        ({"ask": -2}, "source.invalid", '"ask" is -2, below zero'),
        ({"bidVolume": "Infinity"}, "source.invalid", "\"bidVolume\" 'Infinity' is not finite"),
        ({"askVolume": [3]}, "source.invalid", r'"askVolume" \[3\]'),
        ({"bid": float("nan")}, "source.not_json", "it holds NaN"),
        ({"withdrawn": True, "received_ns": 5}, "source.out_of_order", '"received_ns" is 5'),
    ],
)
def test_a_line_that_makes_no_sense_is_refused(tmp_path, entry, code, named):
    """Each bad line is an error that names file, line, value and mend."""
    good = {"symbol": "A/B", "received_ns": START_NS + 9, "bid": "1", "ask": "2"}
    bad = {**good, **entry} if entry and isinstance(entry, dict) else entry
    path = written(tmp_path / "tape.jsonl", json.dumps(good) + "\n", json.dumps(bad) + "\n")
    with pytest.raises(SourceError, match=named) as raised:
        list(Tape.load(path).batches())
    assert raised.value.code == code
    assert f"{path}, line 3" in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize("key", ["bid", "ask"])
def test_a_quote_must_tell_both_sides(tmp_path, key):
    """A side that is left out is not the same as one that is not there."""
    entry = {"symbol": "A/B", "received_ns": START_NS, "bid": "1", "ask": "2"}
    del entry[key]
    path = written(tmp_path / "tape.jsonl", json.dumps(entry) + "\n")
    with pytest.raises(SourceError, match=f'line 2 has no "{key}"'):
        list(Tape.load(path).batches())


def test_a_truncated_last_line_is_refused(tmp_path):
    """A recording that was cut short plays to its last instant that is surely whole, then says so."""
    path = tmp_path / "tape.jsonl"
    later = [attrs.evolve(QUOTE, received_ns=START_NS + i) for i in (2, 3)]
    Tape.write(path, SNAPSHOT, [QUOTE, *later])
    path.write_bytes(path.read_bytes()[:-20])
    batches = Tape.load(path).batches()
    assert [next(batches), next(batches)] == [SNAPSHOT.quotes, (QUOTE,)]
    with pytest.raises(SourceError, match="line 4 breaks off") as raised:
        next(batches)
    assert raised.value.code == "source.truncated"


def test_a_last_line_without_its_end_of_line_is_whole(tmp_path):
    """Only the line's end is missing: nothing was lost."""
    path = tmp_path / "tape.jsonl"
    Tape.write(path, SNAPSHOT, [QUOTE])
    path.write_bytes(path.read_bytes().rstrip())
    assert list(Tape.load(path).batches()) == [SNAPSHOT.quotes, (QUOTE,)]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (gzip.compress(b'{"tape": 1', mtime=0)[:-4], "source.truncated"),
        (b"not compressed", "source.unreadable"),
        (gzip.compress(b"\xff\xfe", mtime=0), "source.unreadable"),
    ],
)
def test_a_broken_archive_is_refused(tmp_path, content, code):
    """A compressed tape that was cut short, is none, or holds no text is an error that names it."""
    path = tmp_path / "tape.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"tape\.jsonl\.gz") as raised:
        Tape.load(path)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("first", "code", "named"),
    [
        (None, "source.missing", "no file"),
        ("", "source.invalid", "is empty"),
        ("{", "source.truncated", "line 1 breaks off"),
        ("[" * 100_000 + "\n", "source.not_json", "nested too deeply"),
        ("{}\n", "source.version", '"tape" is missing'),
        ('{"tape": 2}\n', "source.version", '"tape" is 2, not 1'),
        ('{"tape": 1}\n', "source.invalid", 'line 1 has no list "markets"'),
    ],
)
def test_what_is_no_tape_is_refused(tmp_path, first, code, named):
    """A file that does not begin like a tape is refused when it is loaded."""
    path = tmp_path / "tape.jsonl"
    if first is not None:
        path.write_text(first, encoding="utf-8")
    with pytest.raises(SourceError, match=named) as raised:
        Tape.load(path)
    assert raised.value.code == code
    assert str(path) in raised.value.message
    assert raised.value.hint


def test_a_tape_in_memory_is_checked_as_well():
    """Changes of unknown markets, or before the snapshot, are refused when the tape is made."""
    with pytest.raises(SourceError, match=r"change 1.*'X/Y'"):
        Tape.of(SNAPSHOT, [Withdrawn("X/Y", START_NS)])
    with pytest.raises(SourceError, match=f"change 1.*{START_NS - 1}") as raised:
        Tape.of(SNAPSHOT, [Withdrawn("A/B", START_NS - 1)])
    assert raised.value.code == "source.out_of_order"
