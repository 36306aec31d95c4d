"""SQL for all of Cairn's services, split by aggregate; SQLite and PostgreSQL.

`open_records` is the way in. One write transaction at a time; every transition is journalled in the transaction that
makes it.
"""

from cairn.records.deletion import Freed
from cairn.records.opening import open_records, restore_records
from cairn.records.store import Records

__all__ = ["Freed", "Records", "open_records", "restore_records"]
