"""What the configuration says of senders, as steps of the policy."""

from collections.abc import Iterator
from pathlib import Path

from routing.senders import Registrations, SenderRules, SenderStep
from smsc.config.kinds import status_value
from smsc.config.policy_schema import SendersConfig
from smsc.config.registered_senders import Registered, read_registered
from smsc.config.schema import AccountConfig, Configuration


def registrations(senders: SendersConfig) -> Registrations:
    """Return the registered senders, from the configuration and its file. Raises SendersFileError."""
    return Registrations(_entries(senders), senders.ignore_case)


def _entries(senders: SendersConfig) -> Iterator[Registered]:
    for sender, operators in senders.registered.items():
        for operator in operators:
            yield sender, operator, ''
    if senders.file is not None:
        yield from read_registered(Path(senders.file))


def sender_step(configuration: Configuration, account: AccountConfig, registered: Registrations) -> SenderStep | None:
    """Return the sender check of an account; None when it may use any sender with any operator."""
    senders = configuration.senders
    if not (account.senders or account.sender_kinds or account.default_sender or senders.operators_that_require):
        return None
    rules = SenderRules(
        status_value(senders.status),
        frozenset(account.sender_kinds),
        account.senders,
        account.default_sender or '',
        frozenset(senders.operators_that_require),
        frozenset(senders.kinds_that_require),
        senders.unregistered_as or '',
        senders.ignore_case,
    )
    return SenderStep(account.name, rules, registered)
