"""The SQL of this room, read once from its files beside this module."""

from pathlib import Path

_FOLDER = Path(__file__).parent / 'sql'
MIGRATIONS = _FOLDER / 'migrations'


def statement(name: str) -> str:
    """Return the text of `sql/<name>.sql`."""
    return (_FOLDER / f'{name}.sql').read_text(encoding='utf-8')


FINISH = statement('finish')
CLOSE_NOTICES = statement('close_notices')
MARK_REPEATED = statement('mark_repeated')
MARK_READ = statement('mark_read')
NOTE_READ = statement('note_read')
INSERT_SEGMENTS = statement('insert_segments')
RECORD_PARTS = statement('record_parts')
PART_OUTCOMES = statement('part_outcomes')
PARTS_TAKEN = statement('parts_taken')
FIND_BY_SEGMENT = statement('find_by_segment')
DELETE_WAITING = statement('delete_waiting')
PUT_WAITING = statement('put_waiting')
FETCH_WAITING = statement('fetch_waiting')
COUNT_WAITING = statement('count_waiting')
EXPIRED_WAITING = statement('expired_waiting')
LANES_WITH_MORE = statement('lanes_with_more')
LANES_ON_DISK = statement('lanes_on_disk')
FIND_MESSAGE = statement('find_message')
QUEUED_BY_ID = statement('queued_by_id')
QUEUED_ALIKE = statement('queued_alike')
REPLACE_MESSAGE = statement('replace_message')
END_LEFTOVERS = statement('end_leftovers')
UNFINISHED = statement('unfinished')
NODES = statement('nodes')
BEGIN_NODE = statement('begin_node')
BEAT = statement('beat')
CLAIM_NODE = statement('claim_node')
TAKE_WAITING = statement('take_waiting')
GIVE_WAITING = statement('give_waiting')
BEGIN_NEXT = statement('begin_next')
RECEIPTS_DUE = statement('receipts_due')
EXPECT_RECEIPTS = statement('expect_receipts')
OVERDUE = statement('overdue')
RESERVE_CREDIT = statement('reserve_credit')
FINISH_REFUNDING = statement('finish_refunding')
RECORD_COSTS = statement('record_costs')
