"""Operations: what a running bot needs around its engine: its configuration, and its keys."""

from triarb.operations.config import TradingConfig as TradingConfig
from triarb.operations.parts import Parts as Parts
from triarb.operations.secrets import Secret as Secret
