"""E15: what runs for long does not grow: memory, open files, threads, the audit log.

`TRIARB_TICKS` says how many changes of quotes an engine sees (800); `nox -s soak` takes 100,000.
"""

import gc
import itertools
import os
import resource
import threading
from pathlib import Path

import pytest

from triarb import (
    AuditLog,
    Engine,
    GeneratedExchange,
    ReplayGateway,
    RiskLimits,
    SqlLedger,
    Tape,
    Webhook,
)
from triarb.operations.audit_files import files_in
from triarb.operations.audit_lines import verify

TICKS = int(os.environ.get("TRIARB_TICKS", "800"))
SAMPLES = 20
FILE_BYTES, KEEP_BYTES = 5_000, 20_000
MAY_GROW = 16 * 2**20
"""What memory may vary by, in bytes, between a third of the way and the end: allocators do not give all back."""

BY_EXECUTION = 100_000
"""What an execution may keep, in bytes: its fills are known for ever, so that none is booked twice, and caches fill."""


def memory() -> int:
    """What this process holds, in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def handles() -> int:
    """How many files it has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count only


class Meter:
    """Samples memory, files and threads as an engine goes along."""

    def __init__(self) -> None:
        self.steps, self.samples = 0, []

    def __call__(self, engine) -> bool:
        self.steps = engine._tally.counts["quotes"]
        if self.steps >= TICKS * (len(self.samples) + 1) // SAMPLES:
            done = engine.ledger.portfolio().started
            self.samples.append((memory(), handles(), threading.active_count(), done))
        return len(self.samples) >= SAMPLES


@pytest.mark.once
async def test_a_long_run_does_not_grow(tmp_path):
    """E15: between a third of its way and its end an engine that trades takes no more files and threads, and hardly memory."""
    made = GeneratedExchange(100, seed=3, dislocations_per_minute=600, taker_fee_bps=1)
    changes = itertools.islice(made.ticks(), TICKS + 1000)
    Tape.write(tmp_path / "tape.jsonl", made.snapshot(), changes)  # read as it is played
    tape = Tape.load(tmp_path / "tape.jsonl")
    risk = RiskLimits(min_edge_bps=1, max_notional="50 USDT", max_daily_loss="500 USDT")
    folder, meter = tmp_path / "log", Meter()
    async with (
        ReplayGateway(tape, balances={"USDT": "1000"}, latency_ms=1) as gateway,
        Webhook("http://127.0.0.1:9/") as webhook,
        AuditLog(folder, file_bytes=FILE_BYTES, keep_bytes=KEEP_BYTES) as audit,
        SqlLedger(tmp_path / "a.sqlite", tap=audit) as ledger,
    ):
        engine = Engine(
            gateway, risk=risk, ledger=ledger, start=["USDT"], observers=[audit, webhook]
        )
        report = await engine.run(until=lambda: meter(engine))
    assert len(meter.samples) == SAMPLES
    later = meter.samples[SAMPLES // 3 :]
    (first, files, threads, began), (last, _, _, ended) = later[0], later[-1]
    print(f"{meter.steps} ticks, {ended} executions, {(last - first) / 2**20:.1f} MiB more")  # noqa: T201
    assert report.executions
    assert max(sample[1] for sample in later) <= files + 2
    assert max(sample[2] for sample in later) <= threads
    assert last - first < MAY_GROW + BY_EXECUTION * (ended - began)
    assert (audit.failures, audit.lost) == (0, 0)
    assert sum(path.stat().st_size for path in files_in(folder)) < KEEP_BYTES * 6
    checked = verify(folder)
    assert checked.broken is None
    assert checked.first > 1
