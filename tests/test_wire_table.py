"""What `bin/test --wire` prints, and that a misspelt line is noticed."""

import pytest

from tests import wire_table
from tests.wire_table import Outcomes, WireLine, parse_contract, table

pytest_plugins = ['pytester']

CONTRACT = """\
## A. Framing
One line = one test.
w.A1 M cut at every octet → parsed the same.
w.A2 S fifty PDUs → fifty responses.
w.A10 M sm_length 255 → no crash.
"""


def test_the_contract_is_read_line_by_line():
    assert parse_contract(CONTRACT) == [
        WireLine('A1', 'M', 'cut at every octet → parsed the same.'),
        WireLine('A2', 'S', 'fifty PDUs → fifty responses.'),
        WireLine('A10', 'M', 'sm_length 255 → no crash.'),
    ]


def test_a_line_fails_when_one_of_its_tests_fails():
    outcomes = Outcomes(
        tests={'A1': {'one', 'two'}, 'A2': {'three'}}, results={'one': 'pass', 'two': 'fail', 'three': 'pass'}
    )
    rows = table(parse_contract(CONTRACT), outcomes, width=120)
    assert rows[1:4] == [
        'A1    M         2  fail     cut at every octet → parsed the same.',
        'A2    S         1  pass     fifty PDUs → fifty responses.',
        'A10   M         0  no test  sm_length 255 → no crash.',
    ]
    assert rows[4:] == ['2 lines must: 0 pass, 1 fail, 1 without a test', '1 lines should: 1 pass, 0 fail']


def test_rows_fit_the_terminal():
    assert max(map(len, table(parse_contract(CONTRACT), Outcomes(), width=50))) == 50


@pytest.fixture
def marked(pytester, monkeypatch, tmp_path):
    """A folder for a run of pytest of its own, with the plugin and the contract above."""
    contract = tmp_path / 'wire.md'
    contract.write_text(CONTRACT, encoding='utf-8')
    monkeypatch.setattr(wire_table, 'CONTRACT', contract)
    pytester.makeini('[pytest]\nmarkers = wire(*lines): lines\nasyncio_default_fixture_loop_scope = function\n')
    return pytester


def test_a_run_prints_how_the_tests_of_each_line_went(marked):
    marked.makepyfile("""
        import pytest

        @pytest.mark.wire('A1', 'A2')
        def test_both():
            pass

        @pytest.mark.wire('A2')
        def test_broken():
            assert False

        @pytest.fixture
        def broken():
            yield
            raise RuntimeError

        @pytest.mark.wire('A10')
        def test_that_cannot_be_torn_down(broken):
            pass
    """)
    result = marked.runpytest_inprocess('-p', 'tests.wire_table', '--wire')
    result.stdout.fnmatch_lines(['A1 *M*1*pass*', 'A2 *S*2*fail*', 'A10 *M*1*fail*'])


def test_a_line_that_the_contract_does_not_have_ends_the_run(marked):
    marked.makepyfile("""
        import pytest

        @pytest.mark.wire('A77')
        def test_misspelt():
            pass
    """)
    result = marked.runpytest_inprocess('-p', 'tests.wire_table')
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_misspelt: the wire contract has no line 'A77'"])
