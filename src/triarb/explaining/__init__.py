"""Explaining: where every unit of a cycle goes, what bounds its size, and what each policy says of it."""

from triarb.explaining.attribution import LegSize as LegSize, Losses as Losses
from triarb.explaining.constraints import Constraint as Constraint
from triarb.explaining.explain import explain as explain
from triarb.explaining.explanation import (
    Explanation as Explanation,
    LegExplanation as LegExplanation,
)
from triarb.explaining.words import Word as Word
