"""Operations: what a running bot needs around its engine: its configuration, its keys, and what watches over it."""

from triarb.operations.alerts import Webhook as Webhook
from triarb.operations.attendance import Attended as Attended, DeadMan as DeadMan
from triarb.operations.audit import AuditLog as AuditLog
from triarb.operations.config import TradingConfig as TradingConfig
from triarb.operations.oversight import Oversight as Oversight
from triarb.operations.parts import Parts as Parts
from triarb.operations.secrets import Secret as Secret
