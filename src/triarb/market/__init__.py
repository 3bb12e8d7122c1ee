"""The market as data: rates for finders, fees with their provenance, files to read it from.

`rates` is the only door from Decimal to float. `graph` (networkx) and `generator` (numpy) are imported by name.
"""

from triarb.market.certificate import Certificate as Certificate, verify as verify
from triarb.market.fees import FeeSchedule as FeeSchedule
from triarb.market.rates import RateTable as RateTable
from triarb.market.snapshot import Snapshot as Snapshot
from triarb.model import RateView as RateView
