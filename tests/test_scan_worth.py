"""Ranking a scan by what its profits are worth in one asset: by declared markets only, and the rest last, and said so."""

import json
from decimal import Decimal

import attrs
import pytest

from triarb import Refused, Snapshot, Value, scan
from triarb.cli import main
from triarb.exceptions import UsageError
from triarb.testing.market import planted_triangle

D = Decimal
EXAMPLE = "docs/example.json"


def ranked(**more):
    settings = {"fee_bps": 0, "sort": "profit", "value_in": "USDT", "min_depth": "500 USDT"}
    return scan(Snapshot.load(EXAMPLE), **settings | more)


def test_profits_of_any_start_are_ranked_by_what_they_are_worth():
    """BTC by its declared market at the bid, USDT as it is; what no reference leads to comes after them and is counted."""
    result = ranked(references="BTC/USDT")
    first, second, third = result.cycles[:3]
    bid = next(q.bid for q in Snapshot.load(EXAMPLE).quotes if q.symbol == "BTC/USDT")
    assert (first.cycle.start, first.worth) == ("BTC", first.profit * bid)
    assert (second.cycle.start, second.worth) == ("USDT", second.profit)
    assert first.worth > second.worth
    assert isinstance(first.value, Value)
    assert [step.symbol for step in first.value.route] == ["BTC/USDT"]
    assert (third.cycle.start, third.worth) == ("TRY", None)
    assert isinstance(third.value, Refused)
    assert result.unvalued == {"value.no_reference": 1}
    assert all(cycle.value is None for cycle in result.cycles if cycle.profit is None)


def test_without_a_reference_nothing_else_has_a_worth():
    """No reference, no value; what earns in the asset itself still has one, and is first."""
    result = ranked()
    assert [cycle.cycle.start for cycle in result.cycles if cycle.worth is not None] == ["USDT"]
    assert result.cycles[0].cycle.start == "USDT"
    assert result.unvalued == {"value.no_reference": 2}
    assert "Without a worth in USDT, and last: 2 value.no_reference." in str(result)


def test_a_reference_that_shows_too_little_values_nothing():
    """One junk quote moves no ranking: below the floor there is no worth."""
    result = ranked(references=["BTC/USDT"], min_depth=["1000000000 USDT"])
    assert result.unvalued == {"value.too_thin": 1, "value.no_reference": 1}


def test_references_are_looked_up_whatever_is_scanned():
    """A market that is not scanned may still be what a profit is valued by."""
    made = planted_triangle()
    other = attrs.evolve(
        made.markets[0], symbol="USDT/EUR", base="USDT", quote="EUR", exchange_id=""
    )
    quote = attrs.evolve(made.quotes[0], symbol="USDT/EUR", bid=D("0.9"), ask=D("0.91"))
    both = attrs.evolve(
        made,
        markets=(*made.markets, other),
        quotes=(*made.quotes, attrs.evolve(quote, bid_size=D(9000))),
    )
    result = scan(
        both, start="USDT", ignore="USDT/EUR", value_in="EUR", references="USDT/EUR",
        min_depth="100 USDT",
    )  # fmt: skip
    (cycle,) = result.cycles
    assert cycle.worth == cycle.profit * D("0.9")
    assert result.unvalued == {}


def test_the_record_says_worth_and_why_there_is_none():
    """As text with its asset, and a code where it is not known; nothing of it where nobody asked."""
    told = ranked(references="BTC/USDT").to_dict()
    assert (told["value_in"], told["unvalued"]) == ("USDT", {"value.no_reference": 1})
    worths = [(cycle["worth"] is None, cycle["worth_reason"]) for cycle in told["cycles"][:3]]
    assert worths == [(False, None), (False, None), (True, "value.no_reference")]
    plain = scan(Snapshot.load(EXAMPLE), fee_bps=0).to_dict()
    assert not {"value_in", "unvalued"} & plain.keys()
    assert "worth" not in plain["cycles"][0]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"min_depth": (), "references": "BTC/USDT"}, "usage.invalid"),
        ({"references": "BTC/NOT"}, "usage.unknown_asset"),
        ({"value_in": "NOT"}, "usage.unknown_asset"),
        ({"value_in": None, "sort": "rate", "references": "BTC/USDT"}, "usage.invalid"),
        ({"value_in": None}, "usage.invalid"),
        ({"references": "BTC/USDT", "min_depth": "much"}, "usage.invalid"),
    ],
)
def test_what_makes_no_sense_is_refused(asked, code):
    """A reference without a floor or not there, an asset not there, references for nothing: with a hint."""
    with pytest.raises(UsageError) as caught:
        ranked(**asked)
    assert caught.value.code == code
    assert caught.value.hint


def test_the_command_ranks_too(capsys):
    """With the same words, as a table that says what has no worth, and as JSON."""
    words = [
        "--fee-bps",
        "0",
        "--sort",
        "profit",
        "--value-in",
        "USDT",
        "--reference",
        "BTC/USDT",
        "BNB/USDT",
        "--min-depth",
    ]
    assert main(["scan", EXAMPLE, *words, "500 USDT", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [cycle["start"] for cycle in told["cycles"][:3]] == ["BTC", "USDT", "TRY"]
    assert main(["scan", EXAMPLE, *words, "500 USDT"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "worth 2.441335842 USDT" in out
    assert "worth unknown" in out


def test_what_is_noted_of_fees_is_shown():
    """Where a fee is marked, the scan says of how many markets, in text and in the record."""
    made = attrs.evolve(planted_triangle(), exchange="kucoin", taker_fee=None)
    result = scan(made)
    ((note, count),) = result.fee_notes.items()
    assert "unverified" in note
    assert count == 3
    assert note in result.headline()
    assert result.to_dict()["fee_notes"] == {note: 3}
