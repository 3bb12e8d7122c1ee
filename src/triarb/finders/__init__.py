"""Finders: from rates to nominated cycles, or to the proof that there are none.

`potentials` makes certificates, for one moment (`prove`) and for the monitor. `reference` (networkx) is imported by name.
"""

from triarb.finders.bounded import BoundedCycleFinder as BoundedCycleFinder
from triarb.finders.finder import CycleFinder as CycleFinder
from triarb.finders.monitor import (
    CertifiedCycleMonitor as CertifiedCycleMonitor,
    CycleMonitor as CycleMonitor,
    Verdict as Verdict,
)
