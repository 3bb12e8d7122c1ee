"""CycleFinder: the seam between rates and everything that judges them."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from triarb.market.rates import RateTable
from triarb.model import Cycle


class CycleFinder(Protocol):
    """Finds the cycles that are worth a look at.

    It is sync and pure: no clock, no I/O, the same rates give the same cycles. Its answer is a nomination; whether a
    cycle can be traded is decided later, on fresh books. `triarb.testing.check_finder` tests an implementation.
    """

    __slots__ = ()

    @abstractmethod
    def find(self, rates: RateTable, /) -> Sequence[Cycle]:
        """The simple directed cycles whose exact net rate is strictly above the finder's threshold.

        Each begins in its asset of the smallest name; the best rate comes first, equals by id. None is an empty
        sequence.
        """
        ...
