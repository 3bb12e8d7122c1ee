"""Pricing: what a cycle really earns, in Decimal, from the quotes as they came.

`confirm` is the only way to an Opportunity; `profit_at` and `most_profitable` (at the top of the books) and
`most_profitable_depth` (through all of them) are functions over one; `make_plan` puts the three numbers of its risk
beside the legs that a sizer chose. `best_route` converts one asset into another over the same graph; a `Valuation` says
what an amount is worth by declared markets only. `settle_tokens` says which fees count on the exchange's own token.
"""

from triarb.pricing.break_even import break_even_fee_bps as break_even_fee_bps
from triarb.pricing.confirm import confirm as confirm
from triarb.pricing.depth import (
    Sized as Sized,
    at_top as at_top,
    most_profitable as most_profitable,
    most_profitable_depth as most_profitable_depth,
)
from triarb.pricing.fee_tokens import settle_tokens as settle_tokens
from triarb.pricing.plan import (
    LeftOver as LeftOver,
    left_over as left_over,
    make_plan as make_plan,
    margin_ratio as margin_ratio,
    stranded_losses as stranded_losses,
    times_in_force as times_in_force,
    unwind_ratio as unwind_ratio,
)
from triarb.pricing.resend import with_resends as with_resends
from triarb.pricing.routes import Route as Route, best_route as best_route
from triarb.pricing.size import (
    Priced as Priced,
    profit_at as profit_at,
    size_at as size_at,
)
from triarb.pricing.sizes import Bounds as Bounds
from triarb.pricing.valuation import (
    ReferencePrice as ReferencePrice,
    Valuation as Valuation,
    Value as Value,
)
from triarb.pricing.walk import Segment as Segment, unrounded as unrounded, walk as walk
