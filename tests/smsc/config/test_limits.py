"""Duplicates and daily limits in a configuration: what is written down is what is done, mistakes are named."""

from pathlib import Path

import pytest

from smsc.config import ConfigurationError, load

ACCOUNT = 'accounts:\n  bank:\n    password: x\n'


@pytest.mark.parametrize(
    ('text', 'mistake'),
    [
        (
            ACCOUNT + '    daily_limit: {messages: 5, zone: Europe/Moskow}',
            'smsc.yaml:4: accounts.bank.daily_limit.zone: there is no time zone Europe/Moskow; write a name such as',
        ),
        (
            'subscriber_limit:\n  messages: 5\n  status: ESME_NONE',
            'smsc.yaml:3: subscriber_limit.status: there is no command_status ESME_NONE; ',
        ),
        ('subscriber_limit: {zone: UTC}', 'smsc.yaml:1: subscriber_limit.messages: is missing; add `messages: ...`'),
        (
            ACCOUNT + '    duplicates: {answer: refuse, status: 0}',
            'smsc.yaml:4: accounts.bank.duplicates.status: 0 is no error; ',
        ),
        (ACCOUNT + '    duplicates: {by: []}', 'smsc.yaml:4: accounts.bank.duplicates.by: names nothing: '),
        (
            ACCOUNT + '    duplicates: {}\npolicy: [senders]',
            'smsc.yaml:4: accounts.bank.duplicates: has no effect, as `policy` does not name duplicates; add it to ',
        ),
        (
            'subscriber_limit: {messages: 3}\npolicy: [senders]',
            'smsc.yaml:1: subscriber_limit: has no effect, as `policy` does not name daily_limits; ',
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text, mistake):
    (tmp_path / 'smsc.yaml').write_text(text, encoding='utf-8')
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path / 'smsc.yaml', {})
    lines = str(raised.value).replace(f'{tmp_path}/', '').splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(mistake)


def test_what_is_written_is_taken(tmp_path: Path):
    text = ACCOUNT + (
        '    parts_wait_s: 5\n'
        '    duplicates: {within_s: 30, by: [destination, text], answer: drop}\n'
        '    daily_limit: {messages: 5, categories: [advertising], scope: all, zone: Asia/Omsk}\n'
        'subscriber_limit: {messages: 10, status: ESME_RMSGQFUL}\n'
    )
    (tmp_path / 'smsc.yaml').write_text(text, encoding='utf-8')
    configuration = load(tmp_path / 'smsc.yaml', {})
    account = configuration.accounts['bank']
    assert account.duplicates is not None
    assert (account.duplicates.within_s, account.duplicates.answer) == (30, 'drop')
    assert account.daily_limit is not None
    assert (account.daily_limit.messages, account.daily_limit.scope) == (5, 'all')
    assert configuration.subscriber_limit is not None
    assert configuration.subscriber_limit.messages == 10
