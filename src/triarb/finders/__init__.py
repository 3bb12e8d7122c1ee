"""Finders: from rates to nominated cycles.

`reference` (networkx) is imported by name.
"""

from triarb.finders.bounded import BoundedCycleFinder as BoundedCycleFinder
from triarb.finders.finder import CycleFinder as CycleFinder
