"""What metrics ask of the store now and then: how old the queues on disk are, how large the store is, what credit
accounts have. Cheap on a full store: the index leads from lane to lane.
"""

import msgspec

from storage.connection import Connection, StoreConnection
from storage.statements import statement

LANES = 5_000  # of which the age is looked at
GIVE_UP_S = 5.0
_OLDEST_WAITING = statement('oldest_waiting')


class Observation(msgspec.Struct, frozen=True):
    """The store at one moment. `heads` are message ids by (outbox, priority, account), `balances` micro-units."""

    heads: dict[tuple[str, int, str], int] = {}
    balances: dict[str, int] = {}
    size_octets: int = 0
    connections: int = 0
    connections_allowed: int = 0


class Observed:
    """Reads on a connection that is shared with other upkeep."""

    def __init__(self, connection: StoreConnection, node: int) -> None:
        self._connection = connection
        self._node = node

    async def read(self) -> Observation:
        """Return how things stand. Raises StoreUnavailable within some seconds."""

        async def fetch(connection: Connection, doubtful: bool) -> Observation:
            heads = await connection.fetch(_OLDEST_WAITING, self._node, LANES)
            balances = await connection.fetch('select account, balance from credit')
            used = await connection.fetchrow(
                'select pg_database_size(current_database()) as octets,'
                " (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections,"
                " current_setting('max_connections')::integer as allowed"
            )
            assert used is not None
            return Observation(
                {(row['outbox'], row['priority'], row['account']): row['message_id'] for row in heads},
                {row['account']: row['balance'] for row in balances},
                *used.values(),
            )

        return await self._connection.run(fetch, GIVE_UP_S)
