"""Message ids: unique and rising, whatever the clock does and however often the node starts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import COUNTER_MASK, EPOCH_MS, MAX_NODE, MessageIds, accepted_at_ms, first_id

NOW_MS = 1_790_000_000_000


def node_of(message_id: int) -> int:
    return message_id >> 14 & MAX_NODE


@pytest.mark.wire('C2')
def test_ids_of_one_millisecond_follow_each_other():
    ids = MessageIds(7)
    given_ids = [ids.next(NOW_MS) for _ in range(5)]
    assert given_ids == list(range(given_ids[0], given_ids[0] + 5))
    assert {accepted_at_ms(message_id) for message_id in given_ids} == {NOW_MS}
    assert {node_of(message_id) for message_id in given_ids} == {7}


@pytest.mark.wire('C2')
@pytest.mark.parametrize('node', [0, 1, MAX_NODE])
def test_more_messages_than_a_millisecond_has_ids_for_still_rise_and_keep_their_node(node):
    ids = MessageIds(node)
    count = 3 * (COUNTER_MASK + 1)
    given_ids = [ids.next(NOW_MS) for _ in range(count)] + [ids.next(NOW_MS + 1), ids.next(NOW_MS + 2)]
    assert given_ids == sorted(set(given_ids))
    assert {node_of(message_id) for message_id in given_ids} == {node}
    assert accepted_at_ms(given_ids[-1]) <= NOW_MS + 3


@pytest.mark.wire('C2', 'G17')
def test_ids_rise_while_the_clock_steps_back():
    ids = MessageIds(3)
    before = [ids.next(NOW_MS), ids.next(NOW_MS)]
    during = [ids.next(NOW_MS - 3_600_000) for _ in range(20_000)]
    after = ids.next(NOW_MS + 1000)
    assert [*before, *during, after] == sorted({*before, *during, after})
    assert {node_of(message_id) for message_id in during} == {3}
    assert accepted_at_ms(after) == NOW_MS + 1000


@pytest.mark.wire('C2')
@pytest.mark.parametrize('node', [0, 5, MAX_NODE])
@pytest.mark.parametrize('back_ms', [0, 1, 3_600_000])
def test_a_restart_goes_on_above_the_last_id(node, back_ms):
    ids = MessageIds(node)
    last = [ids.next(NOW_MS) for _ in range(COUNTER_MASK + 5)][-1]
    restarted = MessageIds(node, above=last)
    first = restarted.next(NOW_MS - back_ms)
    assert first > last
    assert node_of(first) == node


@pytest.mark.wire('C2')
def test_a_restart_above_the_id_of_another_node_keeps_its_own_node():
    last = MessageIds(200).next(NOW_MS)
    ids = MessageIds(1, above=last)
    given_ids = [ids.next(NOW_MS) for _ in range(3)]
    assert min(given_ids) > last
    assert {node_of(message_id) for message_id in given_ids} == {1}


@pytest.mark.wire('C2')
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-50, 50), st.integers(1, 40)), max_size=60),
    st.lists(st.integers(0, MAX_NODE), min_size=4, max_size=4, unique=True),
)
def test_nodes_with_jumping_clocks_never_give_the_same_id(steps, nodes):
    generators = [MessageIds(node) for node in nodes]
    seen: set[int] = set()
    for which, shift_ms, count in steps:
        last = generators[which].last
        for _ in range(count):
            message_id = generators[which].next(NOW_MS + shift_ms)
            assert message_id > last
            assert message_id not in seen
            seen.add(message_id)
            last = message_id


@pytest.mark.parametrize('node', [-1, MAX_NODE + 1])
def test_a_node_out_of_range_is_an_error(node):
    with pytest.raises(ValueError, match='0 to 255'):
        MessageIds(node)


def test_the_first_id_of_a_time_parts_what_came_before_from_what_came_after():
    assert MessageIds(MAX_NODE).next(NOW_MS - 1) < first_id(NOW_MS) <= MessageIds(0).next(NOW_MS)
    assert first_id(0) == first_id(EPOCH_MS) == 0


def test_ids_fit_64_bits_until_2093():
    ids = MessageIds(MAX_NODE)
    assert ids.next(3_900_000_000_000) < 1 << 63
