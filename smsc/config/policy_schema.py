"""What can be configured of the policy: the order of its steps, and what each asks of an account."""

from typing import Annotated, Literal

from msgspec import Meta

from smsc.config.kinds import Part, PositiveSeconds, Status, described

DuplicateKey = Literal['destination', 'text', 'source_addr', 'user_message_reference']
StepName = Literal['senders', 'stop_lists', 'duplicates', 'daily_limits', 'templates', 'fraud']
DEFAULT_ORDER: tuple[StepName, ...] = ('senders', 'templates', 'stop_lists', 'duplicates', 'daily_limits', 'fraud')
MOST_MESSAGES = 200  # a day that a limit may allow: their count has eight bits


class AutomaticConfig(Part, frozen=True):
    """Numbers that get onto a stop-list by themselves, because what goes to them keeps failing for good."""

    list: Annotated[str, described('the list they get onto; it holds for all accounts', min_length=1)] = 'automatic'
    failures: Annotated[
        int, described('failures in a row; those of one minute count as one, a delivery ends the row', ge=1, le=1_000)
    ] = 3
    within_d: Annotated[int, described('days between the first and the last of them at most', ge=1, le=365)] = 7
    for_d: Annotated[int, described('days a number stays on the list; 0 = for good', ge=0, le=3_650)] = 30
    states: Annotated[
        tuple[Literal['UNDELIVERABLE', 'REJECTED', 'EXPIRED', 'DELETED', 'UNKNOWN'], ...],
        described('final states in receipts of operators that may be failures'),
    ] = ('UNDELIVERABLE', 'REJECTED')
    errors: Annotated[
        tuple[int, ...],
        described(
            'errors in such receipts that are failures for good; none = all. The default: unknown, unidentified and'
            ' illegal subscriber, service not provisioned, illegal equipment (3GPP TS 29.002); operators have their own'
        ),
    ] = (1, 5, 9, 11, 12)
    statuses: Annotated[
        tuple[Status, ...], described('command_status of submit_sm_resp that are failures for good, too')
    ] = ('ESME_RINVDSTADR',)
    numbers: Annotated[
        int, described('numbers whose failures are counted at most, 130 octets each', ge=1_000, le=10_000_000)
    ] = 100_000


class StopListsConfig(Part, frozen=True):
    """Stop-lists, for all accounts. `global` holds for every account; `smsc stop-list` fills the lists."""

    status: Annotated[Status, described('answer to a message to a number on a stop-list')] = 'ESME_RINVDSTADR'
    exempt_categories: Annotated[
        tuple[str, ...],
        described('categories of messages that no stop-list holds for; steps that set one must come before'),
    ] = ()
    poll_s: Annotated[PositiveSeconds, described('how often changes by commands and other nodes are looked for')] = 3
    automatic: Annotated[
        AutomaticConfig | None, described('numbers that get onto a stop-list by themselves; none = no numbers')
    ] = None


SenderText = Annotated[str, Meta(min_length=1, max_length=20)]  # source_addr, SMPP 3.4 section 5.2.8
SenderKind = Literal['alphanumeric', 'short', 'national', 'international']


class SendersConfig(Part, frozen=True):
    """Senders, for all accounts."""

    status: Annotated[Status, described('answer to a message whose sender is not allowed')] = 'ESME_RINVSRCADR'
    operators_that_require: Annotated[
        tuple[str, ...], described('operators that take registered senders only; of ported numbers the new operator')
    ] = ()
    kinds_that_require: Annotated[
        tuple[SenderKind, ...], described('kinds of senders that such operators want registered')
    ] = ('alphanumeric',)
    registered: Annotated[
        dict[str, list[str]],
        described('senders and the operators that they are registered with, for all accounts: {MyBank: [mts, tele2]}'),
    ] = {}
    file: Annotated[
        str | None,
        described('more of them: a CSV file with the columns sender, operator and account (none = all accounts)'),
    ] = None
    unregistered_as: Annotated[
        SenderText | None,
        described('sender in the place of one that is not registered; none = the message is refused'),
    ] = None
    ignore_case: Annotated[
        bool, described('whether MyBank and MYBANK are one sender, here and in `senders` of accounts')
    ] = False


class DuplicatesConfig(Part, frozen=True):
    """Messages of an account that say the same to the same number."""

    within_s: Annotated[
        PositiveSeconds, described('for how long after the first one they are the same, in seconds', wire='C33')
    ] = 60
    by: Annotated[
        tuple[DuplicateKey, ...],
        described('what two messages must have in common; `text` is user data and data_coding', wire='C33'),
    ] = ('destination', 'text', 'source_addr', 'user_message_reference')
    answer: Annotated[
        Literal['first', 'refuse', 'drop'],
        described(
            'to the next ones: `first` is ESME_ROK with the message_id of the first, `refuse` is `status`, `drop`'
            ' accepts them and sends a REJECTD receipt; none is sent on',
            wire='C33',
        ),
    ] = 'first'
    status: Annotated[Status, described('command_status of `refuse`')] = 'ESME_RSUBMITFAIL'
    remembered: Annotated[
        int, described('messages that are remembered at most, 130 octets each', ge=100, le=10_000_000)
    ] = 200_000


class SubscriberLimitConfig(Part, frozen=True):
    """How many messages a subscriber may get in a day, which begins at midnight where he is."""

    messages: Annotated[
        int,
        described('messages a day, each counted once however many segments it has', ge=1, le=MOST_MESSAGES),
    ]
    categories: Annotated[tuple[str, ...], described('categories that count and are limited; none = all')] = ()
    status: Annotated[Status, described('answer to one message more')] = 'ESME_RSUBMITFAIL'
    zone: Annotated[str, described('time zone of subscribers whose own is not known', min_length=1)] = 'UTC'


class DailyLimitConfig(SubscriberLimitConfig, frozen=True):
    """The same for the messages of one account."""

    scope: Annotated[
        Literal['account', 'all'],
        described('whether only messages of this account count, or those of all accounts'),
    ] = 'account'
