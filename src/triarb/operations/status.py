"""Status: where a ledger stands, from its events alone, and what the next start would find."""

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self

import attrs

from triarb.clock import iso, utc_day
from triarb.exceptions import AuditError
from triarb.model import Intent, LedgerEvent, Portfolio, RunEnded, Unfinished
from triarb.money import ZERO, arithmetic, plain
from triarb.operations.audit_lines import audit_folder, iso_or_number, last_entries
from triarb.operations.headroom import Headroom

REFUSALS: Final = 5
"""How many codes of refusals are shown, those of most first."""

LOOKED_AT: Final = 500
"""How many of the last lines of an audit log are searched for refusals."""


def state_of(portfolio: Portfolio, latch: str | None = None) -> str:
    """``"stuck"``, ``"halted"`` or ``"done"``: what a command's exit code says of a ledger."""
    if portfolio.stuck:
        return "stuck"
    return "halted" if latch is not None or portfolio.halted is not None else "done"


@attrs.frozen
class Status:
    """Where a ledger stands.

    Attributes:
        ledger: its file.
        portfolio: what its events come to.
        unfinished: the executions without a proven end.
        last_run: the end of the last run; None before the first.
        now_ns: the time now.
        process: the process that has it open for writing; None where none has.
        latch: what the halt file says; None where there is none.
        limits: what is left of the limits that remember.
        note: why that cannot be told, or what a person must know of it.
        refusals: the last ones by the audit log, the latest of each code, the latest first.
    """

    ledger: Path
    portfolio: Portfolio
    unfinished: tuple[Unfinished, ...]
    last_run: RunEnded | None
    now_ns: int
    process: int | None = None
    latch: str | None = None
    limits: tuple[Headroom, ...] = ()
    note: str = ""
    refusals: tuple[Mapping[str, str], ...] = ()

    @classmethod
    def of(
        cls,
        events: Iterable[LedgerEvent],
        portfolio: Portfolio,
        unfinished: Sequence[Unfinished],
        *,
        ledger: Path,
        now_ns: int,
        process: int | None = None,
        latch: str | None = None,
        limits: Sequence[Headroom] = (),
        note: str = "",
    ) -> Self:
        """The status of a ledger with these events."""
        runs = [event for event in events if isinstance(event, RunEnded)]
        last = runs[-1] if runs else None
        refused = tuple(last_refusals(ledger))
        return cls(
            ledger, portfolio, tuple(unfinished), last, now_ns, process, latch, tuple(limits), note,
            refused,
        )  # fmt: skip

    @property
    def halted(self) -> str | None:
        """Why it is halted; None where it is not."""
        return self.latch or self.portfolio.halted

    @property
    def state(self) -> str:
        """``"stuck"``, ``"halted"`` or ``"done"``."""
        return state_of(self.portfolio, self.latch)

    @property
    def realised_today(self) -> dict[str, Decimal]:
        """The results of the executions that ended on this UTC day, by asset, residues apart."""
        today = utc_day(self.now_ns)
        return {a: amount for (day, a), amount in self.portfolio.realised.items() if day == today}

    def unplugged(self) -> list[str]:
        """What would happen if the process were gone now: a sentence for each execution without an end, and of a halt."""
        sentences = [_unplugged(execution) for execution in self.unfinished]
        if not sentences:
            sentences = ["nothing is under way; the next start has nothing to recover"]
        if self.halted is not None:
            sentences.append("it stays halted: the next start begins no cycle until triarb resume")
        return sentences

    def to_dict(self) -> dict[str, Any]:
        """For JSON: amounts as strings."""
        portfolio, last = self.portfolio, self.last_run
        return {
            "ledger": str(self.ledger),
            "exchange": portfolio.exchange,
            "mode": portfolio.mode,
            "state": self.state,
            "process": self.process,
            "halted": self.halted,
            "open": [_execution(e) for e in self.unfinished if not e.stuck],
            "stuck": [_execution(e) for e in self.unfinished if e.stuck],
            "balances": _texts(portfolio.balances),
            "reserved": _texts(portfolio.reserved),
            "residues": _texts(portfolio.residues),
            "claim": None if portfolio.claim is None else _texts(portfolio.claim),
            "beyond": _texts(portfolio.beyond),
            "executed": portfolio.started,
            "realised_today": _texts(self.realised_today),
            "limits": [attrs.asdict(limit) for limit in self.limits],
            "limits_note": self.note or None,
            "last_run": None if last is None else iso(last.at_ns),
            "refused": {} if last is None else dict(last.refused),
            "last_refusals": [dict(refusal) for refusal in self.refusals],
            "unplugged": self.unplugged(),
        }

    def lines(self) -> list[tuple[str, str]]:
        """For a person: a name and what is to say, line by line."""
        portfolio, last = self.portfolio, self.last_run
        runs = "not running" if self.process is None else f"running, process {self.process}"
        of = f"{portfolio.exchange} ({portfolio.mode})" if portfolio.exchange else "no account yet"
        refused = sorted(last.refused.items(), key=lambda item: -item[1]) if last else []
        return [
            ("exchange", f"{of}, {runs}"),
            ("halted", self.halted or "no"),
            *[(f"{_word(e)} {e.number}", _in_words(e)) for e in self.unfinished],
            ("holds", _money(portfolio.balances)),
            ("reserved", _money(portfolio.reserved)),
            ("left in other assets", _money(portfolio.residues)),
            ("claim", "all that was free" if portfolio.claim is None else _money(portfolio.claim)),
            ("not the ledger's", _money(portfolio.beyond)),
            ("executed", str(portfolio.started)),
            ("realised today", _money(self.realised_today)),
            *[(f"limit {limit.name}", str(limit)) for limit in self.limits],
            *([("limits", self.note)] if self.note else []),
            ("last run", f"ended {iso(last.at_ns)}" if last else "none has ended"),
            ("it refused", ", ".join(f"{n} {code}" for code, n in refused[:REFUSALS]) or "nothing"),
            *[
                ("last refused", f"{one['at'][:19]} {one['code']}: {one['sentence']}")
                for one in self.refusals
            ],
            *[("if unplugged now", sentence) for sentence in self.unplugged()],
        ]


def last_refusals(ledger: Path) -> list[dict[str, str]]:
    """What the audit log beside a ledger says was refused last, also while an engine runs; nothing where there is none."""
    try:
        entries = last_entries(audit_folder(ledger), LOOKED_AT)
    except AuditError:  # triarb audit says what is wrong with it
        return []
    last: dict[str, dict[str, str]] = {}
    for entry in entries:
        told = json.loads(entry.payload) if entry.kind == "Declined" else None
        if isinstance(told, dict) and isinstance(told.get("code"), str):
            code = told["code"]
            last.pop(code, None)
            sentence = str(told.get("sentence", ""))
            last[code] = {"at": iso_or_number(entry.at_ns), "code": code, "sentence": sentence}
    return list(reversed(last.values()))[:REFUSALS]


def _word(execution: Unfinished) -> str:
    return "stuck" if execution.stuck else "open"


def _unproven(execution: Unfinished) -> list[Intent]:
    return [intent for intent in execution.intents if intent.outcome is None]


def _unplugged(execution: Unfinished) -> str:
    plan = execution.plan
    name, ids = (
        f"execution {execution.number}",
        [intent.intended.order.client_id for intent in _unproven(execution)],
    )
    if execution.stuck:
        orders = f": {', '.join(ids)} looked up again, then a person's word" if ids else ""
        return f"{name} stays stuck{orders}"
    if not execution.intents:
        return f"{name} ends with nothing: no order of it was intended"
    looked_up = f"{', '.join(ids)} looked up and never sent again, then it is " if ids else ""
    return (
        f"{name}: {looked_up}gone on with or turned back; at stake {plain(plan.at_stake)} {plan.start}, "
        f"stranded it may lose {plain(plan.max_loss)} {plan.start} by its plan"
    )


def _in_words(execution: Unfinished) -> str:
    done = [i for i in execution.intents if i.outcome is not None]
    orders = [_order_in_words(intent) for intent in _unproven(execution)]
    return "; ".join([f"{execution.plan.cycle_id}, {len(done)} orders proven", *orders])


def _order_in_words(intent: Intent) -> str:
    order = intent.intended.order
    price = "the market" if order.price is None else plain(order.price)
    told = f"{order.side} {plain(order.amount)} {order.symbol} at {price}"
    return f"{order.client_id} ({told}) is not proven, {plain(_filled(intent))} on record"


def _filled(intent: Intent) -> Decimal:
    with arithmetic():
        return sum((fill.amount for fill in intent.fills), ZERO)


def _execution(execution: Unfinished) -> dict[str, Any]:
    return {
        "number": execution.number,
        "cycle": execution.plan.cycle_id,
        "started": iso(execution.started_ns),
        "proven": sum(intent.outcome is not None for intent in execution.intents),
        "unproven": [
            {
                "client_id": intent.intended.order.client_id,
                "symbol": intent.intended.order.symbol,
                "side": str(intent.intended.order.side),
                "amount": plain(intent.intended.order.amount),
                "filled": plain(_filled(intent)),
                "answer": intent.answered.reason if intent.answered else None,
            }
            for intent in _unproven(execution)
        ],
    }


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {asset: plain(amount) for asset, amount in amounts.items()}


def _money(amounts: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{plain(amount)} {asset}" for asset, amount in amounts.items()) or "nothing"
