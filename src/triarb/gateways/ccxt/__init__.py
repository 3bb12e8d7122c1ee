"""The way to any spot exchange that ccxt speaks to: look with nothing, trade in its sandbox with credentials.

`gateway` is the gateway; `credentials` holds a key and its secret, `instances` builds ccxt's objects, `sandboxes` says
which sandbox is an exchange's own, `wire` watches what really leaves and comes back, `orders` says what an answer
proves, `timing` measures the exchange's clock, `bans` keeps until when nothing may be asked, `failures` says it in words without secrets, and `fees` says what is charged. ccxt itself is not imported
before one of them is used.
"""

from triarb.gateways.ccxt.bans import default_ban_file as default_ban_file
from triarb.gateways.ccxt.credentials import Credentials as Credentials
from triarb.gateways.ccxt.fees import published_taker_fee as published_taker_fee
from triarb.gateways.ccxt.gateway import CcxtGateway as CcxtGateway
