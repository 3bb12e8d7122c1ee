"""Money: exact in, exact through, rounded by named rules, plain out."""

import decimal
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import example, given, strategies as st

from triarb.exceptions import UsageError
from triarb.money import (
    MAX_DIGITS,
    MAX_EXPONENT,
    Money,
    arithmetic,
    as_gap,
    as_money,
    edge_bps,
    from_float,
    is_exact,
    parse_bps,
    parse_decimal,
    plain,
    round_down,
    round_up,
    to_decimal,
)

signs = st.sampled_from(["", "-"])


@st.composite
def numbers(draw: st.DrawFn, sign: st.SearchStrategy[str] = signs) -> Decimal:
    """Every number that money can be: up to 30 digits, up to 10**±30."""
    digits = draw(st.integers(0, 10**MAX_DIGITS - 1))
    first = draw(st.integers(-MAX_EXPONENT, MAX_EXPONENT))
    return Decimal(f"{draw(sign)}{digits}E{first - len(str(digits)) + 1}")


positive = numbers(st.just("")).filter(bool)
steps = st.builds(
    lambda digits, places: Decimal(f"{digits}E{places}"), st.integers(1, 999), st.integers(-12, 3)
)
amounts = st.decimals("-1e12", "1e12", places=12)


@given(numbers())
@example(Decimal("1E30"))
@example(Decimal("-9.99999999999999999999999999999E-30"))
def test_parsing_is_exact_from_text_and_decimals(number: Decimal):
    """What is parsed is the very number, to its last digit and its trailing zeros, whatever the caller's context."""
    with localcontext(prec=3):
        from_text = parse_decimal(str(number))
        assert from_text.as_tuple() == parse_decimal(number).as_tuple() == number.as_tuple()


@pytest.mark.once
@given(st.integers(-(10**MAX_DIGITS) + 1, 10**MAX_DIGITS - 1))
def test_parsing_is_exact_from_integers(number: int):
    """An integer is a number of money like any other."""
    assert int(parse_decimal(number)) == number


@given(st.floats())
def test_parsing_refuses_every_float(number: float):
    """A float's text is lost already, so that none is ever money, not even a whole one."""
    with pytest.raises(ValueError, match="is a float, not an exact number"):
        parse_decimal(number)


@pytest.mark.parametrize("value", [True, False, None, [1], {"a": 1}, b"1", 1j, Fraction(1, 3)])
def test_parsing_refuses_what_is_no_number(value: object):
    """Booleans count as no number, although Python counts them as integers."""
    with pytest.raises(ValueError, match="not an exact number"):
        parse_decimal(value)


@pytest.mark.parametrize("text", ["", " ", "abc", "1,5", "1.2.3", "0x10", "1e", "--1", "1 2", "½"])
def test_parsing_refuses_text_that_is_no_number(text: str):
    """The message shows the text."""
    with pytest.raises(ValueError, match="is not a number") as caught:
        parse_decimal(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "value",
    ["NaN", "nan", "sNaN", "-NaN123", "inf", "-Infinity", Decimal("NaN"), Decimal("-Infinity")],
)
def test_parsing_refuses_what_is_not_finite(value: str | Decimal):
    """B9: neither text nor a Decimal brings in a number that compares with nothing."""
    with pytest.raises(ValueError, match="is not finite"):
        parse_decimal(value)


@pytest.mark.parametrize(
    "value",
    [
        "1e31",
        "-1e31",
        "1e-31",
        "1" * 31,
        "1e400",
        Decimal("1E-400"),
        10**31,
        "0." + "0" * 30 + "1",
        "1." + "0" * 30 + "1",
    ],
)
def test_parsing_refuses_absurd_digits(value: str | int | Decimal):
    """More than 30 digits, or beyond 10**±30, is nobody's price, and would make arithmetic inexact."""
    with pytest.raises(ValueError, match="more digits than money can have"):
        parse_decimal(value)


@pytest.mark.parametrize("text", ["5000000000000." + "0" * 18, "1" + "0" * 30, "0.1" + "0" * 40])
def test_trailing_zeros_are_no_digits_too_many(text: str):
    """An exchange that writes every number with 18 decimals writes no absurd ones, and 1E+30 may be written out."""
    assert Fraction(parse_decimal(text)) == Fraction(text)


@pytest.mark.parametrize("text", ["0", "-0", "0E+90", "0.000", "0" * 40])
def test_zero_is_zero_however_it_is_written(text: str):
    """A zero has no digits to be too many."""
    assert parse_decimal(text) == 0


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-30, max_value=1e30))
def test_from_float_is_the_shortest_text(number: float):
    """What a library made a float reads back as that float, and as no longer text than Python writes."""
    assert from_float(number) == Decimal(repr(number))
    assert float(from_float(number)) == number


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e300, 1e-300])
def test_from_float_refuses_what_is_no_price(number: float):
    """Not finite, or absurd."""
    with pytest.raises(ValueError, match=r"finite|digits"):
        from_float(number)


@pytest.mark.parametrize(
    ("typed", "read"),
    [(5, "5"), ("6.5", "6.5"), (7.5, "7.5"), (0.1, "0.1"), (Decimal("1e1"), "10"), (-3, "-3")],
)
def test_bps_are_read_as_typed(typed: str | float | Decimal, read: str):
    """A setting that a person types as 7.5 is 7.5 exactly, with quotes or without."""
    assert parse_bps(typed, "fee_bps") == Decimal(read)


@pytest.mark.parametrize("typed", ["five", math.nan, "", None, True, "1e99"])
def test_bps_that_make_no_sense_name_their_setting(typed: object):
    """The error names the setting, shows the value, and hints at the form."""
    with pytest.raises(UsageError, match=r"^fee_bps: ") as caught:
        parse_bps(typed, "fee_bps")
    assert caught.value.code == "usage.invalid"
    assert caught.value.hint


@given(numbers())
def test_plain_reads_back_equal_without_an_exponent(number: Decimal):
    """People and files get digits and a point, no exponent, no trailing zero, no minus nought."""
    text = plain(number)
    assert Decimal(text) == number
    assert set(text) <= set("-0123456789.")
    assert text == "0" or not text.startswith("-0") or "." in text
    assert not ("." in text and text.endswith(("0", ".")))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1E-7", "0.0000001"),
        ("6.31E+4", "63100"),
        ("100", "100"),
        ("1.500", "1.5"),
        ("2.000", "2"),
        ("-0.0", "0"),
        ("0E-8", "0"),
        ("-0.10", "-0.1"),
    ],
)
def test_plain_as_people_write(number: str, text: str):
    """A few that are easily got wrong."""
    assert plain(Decimal(number)) == text


@given(amounts, steps)
def test_round_down_is_the_largest_multiple_not_above(value: Decimal, step: Decimal):
    """B7: a multiple of the step, never above the value, and less than a step below it; below zero as well."""
    rounded = round_down(value, step)
    assert (Fraction(rounded) / Fraction(step)).denominator == 1
    assert rounded <= value
    assert Fraction(value) - Fraction(rounded) < Fraction(step)


@given(amounts, steps)
def test_round_up_is_the_smallest_multiple_not_below(value: Decimal, step: Decimal):
    """A multiple of the step, never below the value, and less than a step above it; below zero as well."""
    rounded = round_up(value, step)
    assert (Fraction(rounded) / Fraction(step)).denominator == 1
    assert rounded >= value
    assert Fraction(rounded) - Fraction(value) < Fraction(step)


@given(st.integers(-(10**9), 10**9), steps)
def test_a_multiple_stays_itself(count: int, step: Decimal):
    """Rounding what is rounded changes nothing, in either direction."""
    with arithmetic():
        value = count * step
    assert round_down(value, step) == value == round_up(value, step)


@given(numbers(), st.sampled_from([None, Decimal(0)]))
def test_without_a_step_nothing_is_rounded(value: Decimal, step: Decimal | None):
    """No step, or a step of nothing, is "not told", which leaves the value as it is."""
    assert round_down(value, step) is value
    assert round_up(value, step) is value


@given(positive, positive, positive)
def test_products_of_three_are_exact(one: Decimal, two: Decimal, three: Decimal):
    """An amount times a price times what a fee leaves never rounds, even at the bounds of parsing."""
    with arithmetic() as context:
        product = one * two * three
        assert not context.flags[decimal.Inexact]
    assert Fraction(product) == Fraction(one) * Fraction(two) * Fraction(three)


@given(st.lists(numbers(), max_size=20))
def test_sums_are_exact(values: list[Decimal]):
    """Sums of what was parsed never round, however far apart the numbers are."""
    with arithmetic():
        total = sum(values, Decimal(0))
    assert Fraction(total) == sum(map(Fraction, values))


@given(st.lists(st.tuples(amounts, amounts), max_size=8))
def test_sums_of_products_are_exact(pairs: list[tuple[Decimal, Decimal]]):
    """A fill's notional added to others, which is what balances are made of, never rounds."""
    with arithmetic():
        total = sum((one * other for one, other in pairs), Decimal(0))
    assert Fraction(total) == sum(Fraction(one) * Fraction(other) for one, other in pairs)


def test_arithmetic_leaves_the_callers_context_alone():
    """Precision, traps and flags of whoever calls are what they were."""
    with localcontext(prec=5) as before:
        before.clear_flags()
        with arithmetic():
            assert decimal.getcontext().prec == 120
            Decimal(1) / Decimal(3)
        assert decimal.getcontext().prec == 5
        assert not before.flags[decimal.Inexact]


def test_arithmetic_refuses_floats_and_nonsense():
    """A float that slips in is an error, not a price; so are divisions by zero and indefinite results."""
    with arithmetic():
        with pytest.raises(decimal.FloatOperation):
            _ = Decimal(1) < 0.5
        with pytest.raises(decimal.FloatOperation):
            Decimal(0.5)  # noqa: RUF032 - what is refused
        with pytest.raises(decimal.DivisionByZero):
            _ = Decimal(1) / Decimal(0)
        with pytest.raises(decimal.InvalidOperation):
            _ = Decimal("inf") - Decimal("inf")


@given(st.fractions(), st.integers(0, 18))
def test_to_decimal_rounds_half_to_even(ratio: Fraction, places: int):
    """The nearest number of that many decimals; of two equally near ones the even."""
    shown = to_decimal(ratio, places)
    unit = Fraction(1, 10**places)
    off = abs(Fraction(shown) - ratio)
    assert shown.as_tuple().exponent == -places
    assert off <= unit / 2
    if off == unit / 2:
        assert int(Fraction(shown) / unit) % 2 == 0


@pytest.mark.parametrize(
    ("ratio", "places", "shown"),
    [
        (Fraction(1, 3), 4, "0.3333"),
        (Fraction(1, 2), 0, "0"),
        (Fraction(3, 2), 0, "2"),
        (Fraction(-25, 1000), 2, "-0.02"),
        (Fraction(10**240 + 1), 1, "1" + "0" * 239 + "1.0"),
        (Fraction(1, 10**240), 12, "0.000000000000"),
    ],
)
def test_to_decimal_of_ratios_of_any_size(ratio: Fraction, places: int, shown: str):
    """Also where eight junk quotes multiply to a number of 240 digits."""
    assert f"{to_decimal(ratio, places):f}" == shown


def test_edge_is_what_is_above_one_in_bps():
    """1.0001 is one basis point."""
    assert edge_bps(Fraction(10_001, 10_000)) == 1
    assert edge_bps(Fraction(9_999, 10_000)) == -1


@given(numbers(st.just("")), st.sampled_from(["USDT", "BTC", "1INCH", "$PAC", "BCH.X", "A-B_C"]))
def test_money_reads_its_own_text(amount: Decimal, currency: str):
    """An amount, a space, an asset; it prints as it is written, and parses what it prints."""
    money = Money.parse(f" {amount}   {currency} ")
    assert money == Money(amount, currency)
    assert Money.parse(str(money)) == money
    assert str(money) == f"{plain(amount)} {currency}"
    assert as_money(money) == as_money(str(money)) == money


@pytest.mark.parametrize("text", ["50", "USDT", "", "50USDT", "USDT 50 50", "50 €", "5 0 USDT"])
def test_money_needs_a_number_and_a_currency(text: str):
    """What is not an amount and an asset is refused with the form that would do."""
    with pytest.raises(UsageError, match="not an amount of money") as caught:
        Money.parse(text)
    assert "50 USDT" in caught.value.hint


@pytest.mark.parametrize("text", ["abc USDT", "NaN USDT", "1e99 USDT", "1,5 USDT"])
def test_money_names_what_is_wrong_with_its_number(text: str):
    """The error shows the text and the number in it."""
    with pytest.raises(UsageError, match=r"^in ") as caught:
        Money.parse(text)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("50", 'write it as "50 USDT", with its currency'),
        ("abc USDT", 'write it as "50 USDT"'),
        ("-1 USDT", "limits are positive amounts"),
    ],
)
def test_money_tells_how_to_mend_it(text: str, hint: str):
    """Each error ends with what would do."""
    with pytest.raises(UsageError) as caught:
        Money.parse(text)
    assert caught.value.hint == hint


def test_a_number_that_is_refused_is_told_as_it_was_written():
    """A Decimal is named by its digits, a text with its quotes; a setting in bps says what would do."""
    with pytest.raises(ValueError, match=r"^NaN is not finite$"):
        parse_decimal(Decimal("NaN"))
    with pytest.raises(ValueError, match=r"^'NaN' is not finite$"):
        parse_decimal("NaN")
    with pytest.raises(UsageError) as caught:
        parse_bps("x", "min_edge_bps")
    assert caught.value.hint == "give bps, such as 7.5"


def test_a_ratio_has_eighteen_decimals_unless_told():
    """What is shown of a ratio is rounded at 18 decimals."""
    assert to_decimal(Fraction(1, 3)) == Decimal("0." + "3" * 18)


def test_money_is_never_negative_and_has_no_order():
    """A limit below zero makes no sense; 2 BTC are neither more nor less than 3 USDT."""
    with pytest.raises(UsageError, match="is negative"):
        Money.parse("-1 USDT")
    with pytest.raises(TypeError):
        _ = Money.parse("2 BTC") < Money.parse("3 USDT")


@pytest.mark.parametrize("gap_bps", [Decimal(0), Decimal("0.5"), Decimal(10_000)])
def test_an_adverse_move_is_none_to_all(gap_bps: Decimal):
    """Both ends may be assumed, by whoever wants to."""
    assert as_gap(gap_bps) == as_gap(str(gap_bps)) == gap_bps


@pytest.mark.parametrize("told", ["-0.1", "10000.1"])
def test_an_adverse_move_of_less_than_none_or_more_than_all_is_refused(told: str):
    """The error names the setting, its value and what would do."""
    with pytest.raises(UsageError) as caught:
        as_gap(told)
    assert (str(caught.value.args[0]), caught.value.hint) == (
        f"gap_bps is {told}",
        "0 to 10000, which is all of it",
    )
    with pytest.raises(UsageError, match=r"^gap_bps: "):
        as_gap("wide")


@pytest.mark.parametrize(
    "value", [0, 0.5, "1", None, Decimal("NaN"), Decimal("-Infinity")], ids=repr
)
def test_only_a_finite_decimal_is_exact(value: object) -> None:
    """B7: a float, a text, an int and what is no number are no money; a Decimal is, whatever its sign."""
    assert not is_exact(value)
    assert is_exact(Decimal("-0.1"))
