"""A private PostgreSQL in the data folder, for a node that was given no server of its own.

`start` runs it and owns it, `attach` looks at one that another process runs, `upgrade` moves its data to the newest
major version found. What was decided and measured is in docs/decisions/0002-embedded-postgresql.md.
"""

from storage.embedded.errors import EmbeddedPostgresError
from storage.embedded.server import EmbeddedPostgres, attach, start
from storage.embedded.upgrade import upgrade

__all__ = ['EmbeddedPostgres', 'EmbeddedPostgresError', 'attach', 'start', 'upgrade']
