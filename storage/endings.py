"""Messages become final, each once, and prices go back to credits in the statement that ends their messages."""

from domain.charges import WHEN_SENT, is_given_back
from domain.message import Message
from storage import statements as sql
from storage.connection import Connection
from storage.credit import Credit
from storage.rows import Outcome

Ending = tuple[int, int, int]
"""(state, notice, error), as a batch has it in common."""


class Endings:
    """Writes outcomes; one for all connections, so that no two batches have the same time."""

    def __init__(self, credit: Credit) -> None:
        self._credit = credit
        self._last_done_at = 0

    async def write(self, connection: Connection, doubtful: bool, outcomes: list[Outcome]) -> set[int]:
        """Write the outcomes, one statement for each different one; return the ids that were not final before.

        The first outcome of a message counts. All of a batch share the time it was given, which also tells, when the
        commit before was in doubt, what that commit has done.
        """
        self._tell_apart(outcomes, doubtful)
        groups: dict[Ending, list[int]] = {}
        refunds: list[Outcome] = []
        ids: set[int] = set()
        for outcome in outcomes:
            message = outcome.message
            message_id = message.id
            if message_id not in ids:
                ids.add(message_id)
                charge = message.charge  # most prices are kept: no call for them
                if charge > 0 and (charge >> outcome.state & 1 or outcome.disowned) and _goes_back(outcome):
                    refunds.append(outcome)
                else:
                    groups.setdefault((outcome.state, outcome.notice, outcome.error), []).append(message_id)
        low, high, done_at = min(ids), max(ids), outcomes[0].done_at
        if len(groups) + bool(refunds) == 1 or connection.is_in_transaction():
            changed = await self._write_groups(connection, groups, refunds, (low, high, done_at))
        else:
            async with connection.transaction():
                changed = await self._write_groups(connection, groups, refunds, (low, high, done_at))
        if changed == len(ids):
            return ids
        rows = await connection.fetch(
            'select id from message where id = any($1::bigint[]) and id between $2 and $3 and done_at = $4',
            list(ids),
            low,
            high,
            done_at,
        )
        return {row[0] for row in rows}

    def _tell_apart(self, outcomes: list[Outcome], doubtful: bool) -> None:
        """See to it that no two batches have the same time, however short they are and whatever the clock does."""
        if doubtful:
            return
        done_at = outcomes[0].done_at
        if done_at <= self._last_done_at:
            done_at = self._last_done_at + 1
            for outcome in outcomes:
                outcome.done_at = done_at
        self._last_done_at = done_at

    async def _write_groups(
        self,
        connection: Connection,
        groups: dict[Ending, list[int]],
        refunds: list[Outcome],
        span: tuple[int, int, int],
    ) -> int:
        """Write each kind of outcome; return how many messages changed. `span` is (lowest id, highest id, done_at).

        Credits come last: whoever holds one waits for no message any more.
        """
        low, high, done_at = span
        changed = 0
        for ending, ids in groups.items():
            status = await connection.execute(sql.FINISH, ids, low, high, *ending, done_at)
            changed += int(status.rpartition(' ')[2])
        if refunds:
            rows = await connection.fetch(
                sql.FINISH_REFUNDING,
                low,
                high,
                [outcome.message.id for outcome in refunds],
                [outcome.state for outcome in refunds],
                [outcome.notice for outcome in refunds],
                [outcome.error for outcome in refunds],
                [outcome.disowned or bool(outcome.message.charge & WHEN_SENT) for outcome in refunds],
                done_at,
            )
            changed += rows[0]['changed']
            self._credit.note((row['account'], row['balance']) for row in rows if row['account'] is not None)
        return changed


def _goes_back(outcome: Outcome) -> bool:
    message = outcome.message
    return outcome.disowned or is_given_back(message.charge, outcome.state, _was_taken(message))


def _was_taken(message: Message) -> bool:
    """Return whether memory knows that an operator has taken any of a message; the store may know better."""
    return bool(message.upstream_message_id or (message.split is not None and message.split.taken))
