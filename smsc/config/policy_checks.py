"""What the configuration of senders and stop-lists must also be: senders that PDUs can hold, files that can be read."""

from collections.abc import Iterator
from pathlib import Path

import re2

from routing.patterns import Pattern
from routing.senders import ALPHANUMERIC, kind_of
from smsc.config.account_schema import AccountConfig
from smsc.config.kinds import Status
from smsc.config.policy_schema import SendersConfig
from smsc.config.registered_senders import SendersFileError, read_registered
from smsc.config.schema import Configuration

MAX_ALPHANUMERIC = 11  # characters, wire.md C11
MAX_LIST_NAME = 64
Mistake = tuple[str, str, str]
"""(key, what is wrong, remedy)"""


def statuses_of(configuration: Configuration) -> Iterator[tuple[str, Status]]:
    """Yield every command_status among these keys."""
    yield 'senders.status', configuration.senders.status
    yield 'stop_lists.status', configuration.stop_lists.status
    automatic = configuration.stop_lists.automatic
    for status in automatic.statuses if automatic else ():
        yield 'stop_lists.automatic.statuses', status


def mistakes_of(configuration: Configuration) -> Iterator[Mistake]:
    """Yield every mistake among these keys."""
    yield from _senders(configuration.senders)
    automatic = configuration.stop_lists.automatic
    if automatic is not None:
        yield from _lists('stop_lists.automatic.list', (automatic.list,))
    for name, account in configuration.accounts.items():
        yield from _account(f'accounts.{name}', account)


def warnings_of(configuration: Configuration) -> Iterator[Mistake]:
    """Yield what is no mistake and hardly meant: rules of steps that are not taken, or are taken too early."""
    policy = configuration.policy
    for step, keys in _KEYS_OF_STEPS.items():
        if step in policy:
            continue
        for name, account in configuration.accounts.items():
            for key in keys:
                if getattr(account, key):
                    yield f'accounts.{name}.{key}', f'has no effect: `policy` does not name {step}', 'add it there'
    exempt = configuration.stop_lists.exempt_categories
    early = 'stop_lists' in policy and 'templates' in policy[policy.index('stop_lists') :]
    if exempt and configuration.templates and early:
        message = 'is asked before templates say what category a message is of'
        yield 'stop_lists.exempt_categories', message, 'put templates before stop_lists in `policy`'
    yield from _uncategorised_limits(configuration)


def _uncategorised_limits(configuration: Configuration) -> Iterator[Mistake]:
    """Yield limits for categories that templates give to messages only after these were counted."""
    policy = configuration.policy
    if 'daily_limits' not in policy or 'templates' not in policy[policy.index('daily_limits') :]:
        return
    limits = [('subscriber_limit', configuration.subscriber_limit)]
    limits += [(f'accounts.{name}.daily_limit', one.daily_limit) for name, one in configuration.accounts.items()]
    for key, limit in limits:
        if limit is not None and limit.categories and configuration.templates:
            message = 'counts before templates say what category a message is of'
            yield f'{key}.categories', message, 'put templates before daily_limits in `policy`'


_KEYS_OF_STEPS = {'senders': ('senders', 'sender_kinds', 'default_sender'), 'stop_lists': ('stop_lists',)}


def _senders(senders: SendersConfig) -> Iterator[Mistake]:
    yield from _sender('senders.unregistered_as', senders.unregistered_as)
    if senders.unregistered_as is not None and not senders.operators_that_require:
        yield 'senders.unregistered_as', 'has no effect without operators_that_require', 'name them, or take it out'
    if senders.file is not None:
        try:
            read_registered(Path(senders.file))
        except SendersFileError as error:
            line = f', line {error.line}' if error.line else ''
            yield 'senders.file', f'{senders.file}{line}: {error.message}', error.remedy


def _account(key: str, account: AccountConfig) -> Iterator[Mistake]:
    yield from _sender(f'{key}.default_sender', account.default_sender)
    yield from _lists(f'{key}.stop_lists', account.stop_lists)
    yield from _lists(f'{key}.ignores_stop_lists', account.ignores_stop_lists)
    for pattern in account.senders:
        if '*' in pattern[:-1] and not pattern.startswith('~'):
            yield f'{key}.senders', f'`{pattern}` has a * that is not its end', 'write a prefix such as 7495*'
    try:
        Pattern(account.senders)
    except re2.error as error:
        reason = error.args[0].decode('utf-8', 'replace')
        yield f'{key}.senders', f'holds what is no regular expression: {reason}', 'see the syntax of RE2'


def _sender(key: str, sender: str | None) -> Iterator[Mistake]:
    if sender is None:
        return
    if not (sender.isascii() and sender.isprintable()):
        yield key, 'holds characters that are not ASCII', 'write the sender as operators know it'
    elif len(sender) > MAX_ALPHANUMERIC and kind_of(sender, 0) == ALPHANUMERIC:
        yield key, f'is longer than {MAX_ALPHANUMERIC}', 'shorten it, or write digits'


def _lists(key: str, names: tuple[str, ...]) -> Iterator[Mistake]:
    for name in names:
        if not is_list_name(name):
            yield key, f'`{name:.80}` is no name of a stop-list', 'use up to 64 letters, digits, `.`, `_` and `-`'


def is_list_name(name: str) -> bool:
    """Return whether a stop-list may have this name."""
    return 0 < len(name) <= MAX_LIST_NAME and all(character.isalnum() or character in '._-' for character in name)
