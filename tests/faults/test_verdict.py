"""The verdict on a trial finds each broken promise by itself."""

import pytest

from domain.message import Notice
from pdu.receipt_text import MessageState
from perf.load.ledger import Ledger
from tests.faults.verdict import Bounds, Row, judge, judge_kept, judge_status

DELIVERED = int(MessageState.DELIVERED)


def told(numbers=3, receipts=(0, 1, 2), ids=(100, 101, 102)):
    """A load's ledger: so many messages with ESME_ROK, these with a receipt."""
    ledger = Ledger(True)
    ledger.submit(numbers, 0.0)
    for number in range(numbers):
        ledger.answer(number, 0, b'%d' % ids[number], 1.0)
    for number in receipts:
        ledger.receive(number, b'%d' % ids[number], b'DELIVRD', 2.0)
    return ledger


def row(number, **changes):
    usual = {'message_id': 100 + number, 'state': DELIVERED, 'notice': Notice.ACKNOWLEDGED, 'repeated': False}
    return Row(number, **usual | changes)


NOTHING_MAY_REPEAT = Bounds(0, 0)


def verdict(ledger=None, seen=b'\1\1\1', rows=None, bounds=NOTHING_MAY_REPEAT):
    return judge(ledger or told(), seen, rows if rows is not None else [row(0), row(1), row(2)], bounds)


def test_a_trial_in_which_all_went_well_is_clean():
    assert verdict().wrong == []
    assert judge_status({'in_memory': 0, 'sessions': [{'outstanding': 0}], 'accounts': [{'accepted': 3}]}) == []


@pytest.mark.parametrize(
    ('broken', 'wrong'),
    [
        ({'seen': b'\1\0\1'}, 'messages with ESME_ROK that the operator never saw: 1 (as 1)'),
        ({'rows': [row(0), row(2)]}, 'messages with ESME_ROK that the store does not have: 1 (as 1)'),
        ({'ledger': told(receipts=(0, 2))}, 'messages with ESME_ROK that have no receipt: 1 (as 1)'),
        ({'rows': [row(0), row(1, state=1), row(2)]}, 'messages without final state: 1 (as 1)'),
        ({'rows': [row(0), row(1, state=8), row(2)]}, 'that did not end as the operator said: 1 (as 1)'),
        ({'rows': [row(0), row(1, notice=Notice.DUE), row(2)]}, 'receipts still due: 1 (as 1)'),
        ({'rows': [row(0), row(1), row(1), row(2)]}, 'messages stored more than once: 1'),
        ({'rows': [row(0), row(1, message_id=7), row(2)]}, 'messages told by another id than they have: 1 (as 1)'),
        ({'rows': [row(0), row(1), row(2), row(3)]}, 'messages that nobody submitted: 1 (as 3)'),
        ({'seen': b'\1\2\1', 'bounds': Bounds(1, 0)}, 'messages submitted twice and not marked as repeated: 1 (as 1)'),
        ({'seen': b'\1\3\1', 'rows': [row(0), row(1, repeated=True), row(2)], 'bounds': Bounds(1, 0)},
         'submits repeated: 2, bound 1'),
        ({'ledger': told(receipts=(0, 1, 2, 2))}, 'receipts repeated: 1, bound 0'),
        ({'ledger': told(receipts=(0, 1, 2)), 'seen': b'\1\1\1\1'}, 'saw and the store does not have: 1 (as 3)'),
    ],
)  # fmt: skip
def test_each_broken_promise_is_named(broken, wrong):
    assert any(wrong in line for line in verdict(**broken).wrong)


def test_what_a_settled_server_still_holds_is_named():
    status = {'upstreams': [{'name': 'mts', 'links': [{'name': 'mts/1', 'window_used': 2}]}], 'stages': [{'failed': 1}]}
    assert judge_status(status) == ['status upstreams[mts].links[mts/1].window_used: 2', 'status stages[0].failed: 1']


def test_what_a_node_keeps_of_messages_that_others_have_ended_is_bounded_by_its_cache():
    status = {'in_memory': 3, 'upstreams': [{'name': 'mts', 'awaiting_receipt': 3}]}
    assert judge_kept(status, 3) == []
    assert judge_kept(status, 2) == ['mts keeps 3, more than its cache may']
    assert judge_kept(status | {'in_memory': 4}, 3) == ['4 messages in memory, of which 3 await a receipt']
