import pytest
import re2

from routing.patterns import Pattern


@pytest.mark.parametrize(
    ('patterns', 'value', 'matches'),
    [
        (['79161234567'], '79161234567', True),
        (['79161234567'], '791612345678', False),
        (['881*'], '8815550000', True),
        (['881*'], '881', True),
        (['881*'], '88', False),
        (['*'], '', True),
        (['881*', '882*'], '8825550000', True),
        (['881*', '882*'], '8835550000', False),
        (['~^79[0-9]{9}$'], '79161234567', True),
        (['~^79[0-9]{9}$'], '7916123456', False),
        (['MyBank', '~^7495'], '74951234567', True),
        (['~(?i)код'], 'Ваш КОД: 1234', True),
        ([], 'anything', False),
    ],
)
def test_a_value_matches_any_of_the_patterns(patterns, value, matches):
    assert Pattern(patterns).matches(value) is matches


def test_an_expression_that_would_exhaust_a_backtracking_engine_is_answered_at_once():
    assert not Pattern(['~^(a+)+$']).matches('a' * 9_000 + 'b')


def test_a_broken_expression_is_an_error():
    with pytest.raises(re2.error):
        Pattern(['~('])
