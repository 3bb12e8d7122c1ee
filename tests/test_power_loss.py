"""Power loss: what the kernel is asked for, in which order, when a process trades."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from triarb.testing.loopback import in_background
from triarb.testing.market import planted_triangle

pytestmark = pytest.mark.once


TRADER = Path(__file__).with_name("trading_process.py")
CALLS = "trace=openat,close,pwrite64,fsync,fdatasync,sendto,sendmsg,write,writev"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_an_intent_is_on_disk_before_the_first_byte_of_its_order(tmp_path):
    """E2, I1: between the write of an intent and the POST with its id, the ledger is synced, for every leg."""
    with in_background(planted_triangle(), balances={"USDT": "1000"}) as exchange:
        trader = [sys.executable, TRADER, str(exchange.port), tmp_path / "ledger.sqlite", "1"]
        trace = tmp_path / "trace"
        strace = ["strace", "-f", "-s", "100000", "-e", CALLS, "-o", trace]
        subprocess.run([*strace, *trader], check=True, timeout=120, stdout=subprocess.DEVNULL)
        posts = [r for r in exchange.requests if r.method == "POST"]
    assert len(posts) == 3
    sent = list(orders_of(trace.read_text(errors="replace")))
    assert len(sent) == 3
    assert all(order in intents_synced for order, intents_synced in sent)


def orders_of(trace):
    """By order that was sent, its client id, and the ids of the intents that were written and synced before."""
    ledgers, written, synced = set(), set(), set()
    for line in trace.splitlines():
        if opened := re.search(r'openat\(.*"[^"]*ledger\.sqlite-wal".*= (\d+)', line):
            ledgers.add(opened[1])
        elif wrote := re.search(r"pwrite64\((\d+), ", line):
            if wrote[1] in ledgers:
                written |= set(
                    re.findall(r'\\"kind\\":\\"Intended.*?client_id\\":\\"(\w+)\\"', line)
                )
        elif sync := re.search(r"f(?:data)?sync\((\d+)", line):
            if sync[1] in ledgers:
                synced |= written
        elif "POST /api/v3/order" in line or "newClientOrderId=" in line:
            for client_id in re.findall(r"newClientOrderId=(\w+)", line):
                yield client_id, set(synced)
