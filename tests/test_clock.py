"""Clocks: monotone, and obedient; times as text and back."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, strategies as st

from triarb.clock import NS_PER_MS, NS_PER_SECOND, ManualClock, SystemClock, iso, parse_iso, utc_day

FIRST_NS = -62_135_596_800 * NS_PER_SECOND  # the year 1
LAST_NS = 253_402_300_800 * NS_PER_SECOND - 1  # the year 9999

times_ns = st.integers(FIRST_NS, LAST_NS)


def test_system_clock_runs_on_a_clock_that_nobody_sets(monkeypatch):
    """D8: it starts at wall time; a wall clock set back afterwards moves it neither back nor forward."""
    wall, ran = [1_000 * NS_PER_SECOND], {time.CLOCK_BOOTTIME: 7}
    monkeypatch.setattr("time.time_ns", lambda: wall[0])
    monkeypatch.setattr("time.clock_gettime_ns", ran.__getitem__)
    clock = SystemClock()
    assert clock.now_ns() == 1_000 * NS_PER_SECOND
    wall[0], ran[time.CLOCK_BOOTTIME] = 0, 12
    assert clock.now_ns() == 1_000 * NS_PER_SECOND + 5


def test_system_clock_goes_on_while_the_machine_sleeps(monkeypatch):
    """D9: an hour of sleep is an hour, although the monotonic clock of Linux stands still in it."""
    ran = {time.CLOCK_BOOTTIME: 7, time.CLOCK_MONOTONIC: 7}
    monkeypatch.setattr("time.clock_gettime_ns", ran.__getitem__)
    monkeypatch.setattr("time.monotonic_ns", lambda: ran[time.CLOCK_MONOTONIC])
    clock = SystemClock()
    before_ns = clock.now_ns()
    ran[time.CLOCK_BOOTTIME] += 3600 * NS_PER_SECOND
    assert clock.now_ns() == before_ns + 3600 * NS_PER_SECOND


async def test_system_clock_sleeps_as_asyncio_does(monkeypatch):
    """Its sleep is the loop's, for exactly as long."""
    asked = []

    async def sleep(seconds: float) -> None:
        asked.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await SystemClock().sleep(1.5)
    assert asked == [1.5]


async def test_manual_clock_moves_only_when_told():
    """It stands still between sleeps, and a sleep moves it by just that."""
    clock = ManualClock(5)
    assert clock.now_ns() == clock.now_ns() == 5
    await clock.sleep(0.000_001)
    assert clock.now_ns() == 5 + 1000
    await clock.sleep(2)
    assert clock.now_ns() == 5 + 1000 + 2 * NS_PER_SECOND


async def test_manual_clock_lets_other_tasks_run():
    """Even a sleep of nothing gives way once, so that a loop which only sleeps cannot starve the others."""
    clock, ran = ManualClock(), []

    async def other() -> None:
        ran.append(clock.now_ns())

    task = asyncio.create_task(other())
    await clock.sleep(0)
    assert ran == [0]
    await task


@given(st.lists(st.integers(0, 1000)))
def test_manual_clock_never_runs_backwards(moves: list[int]):
    """It shows the latest time it was ever moved to, and tells listeners of each move forward, once."""
    clock, heard = ManualClock(0), []
    clock.on_advance.append(heard.append)
    for move in moves:
        clock.advance_to(move)
    assert clock.now_ns() == max(moves, default=0)
    assert heard == sorted(set(heard))
    assert clock.now_ns() == (heard[-1] if heard else 0)


async def test_manual_clock_sleeps_no_negative_time():
    """A wait that is over already changes nothing."""
    clock = ManualClock(10)
    await clock.sleep(-3)
    assert clock.now_ns() == 10


@given(times_ns)
@example(FIRST_NS)
@example(LAST_NS)
@example(-1)
@example(0)
def test_iso_reads_back_to_the_microsecond(ns: int):
    """What is written is ISO 8601 in UTC, which reads back as the same time but for what is below a microsecond."""
    text = iso(ns)
    assert parse_iso(text) == ns - ns % 1000
    assert ("." in text) == (ns % NS_PER_SECOND >= 1000)
    assert datetime.fromisoformat(text).utcoffset() == timedelta(0)


@given(times_ns, times_ns)
def test_iso_sorts_like_the_times(one: int, other: int):
    """Texts compare as their times do, which is what makes them keys of files and reports."""
    one, other = one - one % 1000, other - other % 1000
    assert (iso(one) < iso(other)) == (one < other)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.timezones()),  # noqa: DTZ001
)
def test_parse_iso_knows_zones(moment: datetime):
    """A time of any zone is the same instant in UTC."""
    expected = (moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )
    assert parse_iso(moment.isoformat()) == expected * 1000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01", 0),
        ("1970-01-01T00:00:00", 0),
        ("1970-01-01T01:00:00.000001+01:00", 1000),
        ("1969-12-31T23:59:59.999+00:00", -NS_PER_MS),
        ("2019-08-22T03:38:26+00:00", 1_566_445_106 * NS_PER_SECOND),
    ],
)
def test_parse_iso_by_hand(text: str, ns: int):
    """One without a zone is UTC."""
    assert parse_iso(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-13-01",
        "1566445106",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
    ],
)
def test_parse_iso_refuses_what_is_no_time(text: str):
    """Also a time that has no place in UTC's calendar."""
    with pytest.raises(ValueError, match=r"\S"):
        parse_iso(text)


def test_utc_day_turns_at_midnight():
    """A day ends with its last nanosecond."""
    midnight = parse_iso("2026-11-23")
    assert utc_day(midnight - 1) == "2026-11-22"
    assert utc_day(midnight) == "2026-11-23"
