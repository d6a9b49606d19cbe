"""What a rule can ask of a message."""

import pytest

from routing.conditions import Amount, HasTlv, Unless, Words
from routing.facts import Place
from tests.routing.messages import message


@pytest.mark.parametrize(
    ('key', 'pattern', 'facts', 'holds'),
    [
        ('country', 'RU', {'place': Place('RU')}, True),
        ('country', 'ru', {'place': Place('RU')}, True),
        ('country', 'KZ', {'place': Place('RU')}, False),
        ('operator', 'mts', {'operator': 'mts'}, True),
        ('operator', 'mts', {'operator': 'beeline', 'place': Place(operator='mts')}, False),
        ('operator', 'mts*', {'operator': 'mts-by'}, True),
        ('region', '~(?i)область', {'place': Place(region='Омская область')}, True),
        ('category', 'advertising', {'category': 'advertising'}, True),
        ('category', 'advertising', {}, False),
        ('keyword', 'stop', {'text': lambda: '  СТОП please'}, False),
        ('keyword', 'Стоп', {'text': lambda: '  СТОП please'}, True),
        ('keyword', 'stop', {'text': lambda: 'Stop'}, True),
        ('keyword', 'stop', {'text': lambda: 'stopped'}, False),
        ('keyword', 'stop*', {'text': lambda: 'STOPPED'}, True),
        ('keyword', 'stop', {'text': lambda: ' '}, False),
        ('upstream', 'mts', {'account': 'mts'}, True),
    ],
)
def test_words_are_compared_with_their_part_of_the_message(key, pattern, facts, holds):
    assert Words(key, [pattern]).holds(message(**facts)) is holds


@pytest.mark.parametrize(
    ('wanted', 'held'),
    [
        ([1], {1}),
        (['2'], {2}),
        (['2-3'], {2, 3}),
        (['>1'], {2, 3, 4}),
        (['>= 3'], {3, 4}),
        (['<2'], {0, 1}),
        (['<=2'], {0, 1, 2}),
        ([0, '3-4'], {0, 3, 4}),
    ],
)
def test_a_number_is_in_a_range(wanted, held):
    assert {parts for parts in range(5) if Amount('parts', wanted).holds(message(segments=parts))} == held
    assert {one for one in range(5) if Amount('priority', wanted).holds(message(priority=one))} == held


def test_a_message_without_a_priority_has_the_lowest():
    assert Amount('priority', [0]).holds(message(priority=None))


@pytest.mark.parametrize('wanted', ['', '-1', 'many', '5-2', '<0', '=>1', '1-', '>', '²', '9999999999'])
def test_what_is_no_range_is_an_error(wanted):
    with pytest.raises(ValueError, match='`'):
        Amount('parts', [wanted])


@pytest.mark.parametrize(
    ('wanted', 'value', 'holds'),
    [
        (None, b'', True),
        (None, None, False),
        (5, b'\x05', True),
        (0x0102, b'\1\2', True),
        (0x0102, b'\2\1', False),
        ('gold', b'gold', True),
        ('gold', b'gold\0', True),
        ('go*', b'gold', True),
        ('~^[0-9]+$', b'12', True),
        ('~^[0-9]+$', b'x', False),
        (0, None, False),
    ],
)
def test_a_tlv_is_there_with_a_value(wanted, value, holds):
    tlvs = () if value is None else ((0x1400, b'first'), (0x1401, value))
    assert HasTlv(0x1401, wanted).holds(message(tlvs=tlvs)) is holds


def test_unless_holds_where_one_of_its_conditions_does_not():
    unless = Unless([Words('country', ['RU']), Words('category', ['news'])])
    assert not unless.holds(message(place=Place('RU'), category='news'))
    assert unless.holds(message(place=Place('RU'), category='codes'))
    assert unless.holds(message(place=Place('KZ'), category='news'))


def test_unless_reads_the_text_only_where_its_other_conditions_hold():
    unless = Unless([Words('text', ['~code']), Words('country', ['RU'])])
    assert unless.holds(message(place=Place('KZ')))
    assert not unless.holds(message(place=Place('RU'), text=lambda: 'code'))
