"""The ledger: what was done, durable before it counts, and what is held because of it.

`accounts` is its arithmetic, `codec` its text, `storage` the database below it. Importing it loads SQLAlchemy.
"""

from triarb.ledger.ledger import Ledger as Ledger, SqlLedger as SqlLedger
from triarb.ledger.place import default_path as default_path
from triarb.ledger.storage import writer_of as writer_of
