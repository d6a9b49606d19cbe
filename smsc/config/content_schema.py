"""What can be configured of what messages say: templates, categories, the fraud filter."""

from typing import Annotated, Literal

from msgspec import Meta

from smsc.config.kinds import OneOrMore, Part, PositiveSeconds, Priority, Status, described

FraudMode = Literal['off', 'monitor', 'on']
FraudAction = Literal['refuse', 'drop', 'monitor']
KNOWN_CATEGORIES = ('advertising', 'service', 'transactional', 'authorization')
Category = Annotated[str, Meta(min_length=1, max_length=40)]
MessageCount = Annotated[int, Meta(ge=1, le=10_000_000)]


class TemplateConfig(Part, frozen=True):
    """A template, and what becomes of the texts that match it."""

    template: Annotated[
        str,
        described('text with %w (word), %w{1,5}, %d (digits), %d{4}, %a (letters), %url, %any{0,100}, %% (percent)'),
    ]
    name: Annotated[str, described('shown by commands; none = its number and how it begins', max_length=64)] = ''
    category: Annotated[Category | None, described('category of its messages; none = as they come')] = None
    priority: Annotated[Priority | None, described('priority of its messages; none = as they come')] = None
    action: Annotated[Literal['accept', 'reject'], described('`reject` refuses them')] = 'accept'


class TemplatesConfig(Part, frozen=True):
    """A list of templates, of which the first that matches a text decides: `entries`, then those of the file."""

    name: str = ''
    file: Annotated[
        str | None,
        described('CSV file of templates: columns template, category, priority, action, name; only the first must be'),
    ] = None
    entries: Annotated[tuple[TemplateConfig, ...], described('templates')] = ()
    ignore_case: Annotated[bool, described('whether small and capital letters are the same')] = True
    look_alikes: Annotated[
        bool, described('whether Cyrillic, Greek and Latin letters that look alike are the same')
    ] = False
    unmatched: Annotated[Literal['pass', 'reject'], described('what becomes of texts that match none')] = 'pass'
    status: Annotated[Status, described('answer to what is rejected')] = 'ESME_RSUBMITFAIL'


class LinksConfig(Part, frozen=True):
    """Links in a text. Without a key any link counts; a host stands for those below it, too."""

    allow: Annotated[tuple[str, ...], described('hosts whose links are harmless; any other counts')] = ()
    block: Annotated[tuple[str, ...], described('hosts whose links count')] = ()
    look_alikes: Annotated[
        tuple[str, ...],
        described('hosts that others must not look like: links that do count, or mix alphabets, in punycode too'),
    ] = ()


class LookAlikeConfig(Part, frozen=True):
    """Names that only some accounts may use, and whatever looks like them."""

    names: Annotated[tuple[str, ...], described('protected names, such as MyBank')]
    accounts: Annotated[tuple[str, ...], described('accounts that may use them')] = ()
    where: Annotated[
        Literal['sender', 'text', 'both'],
        described('senders count that are or look like a name; texts in which one stands in look-alike letters'),
    ] = 'sender'


class BurstConfig(Part, frozen=True):
    """More messages of one account to one range of numbers than anyone needs (SMS pumping)."""

    messages: Annotated[MessageCount, described('messages to one range that go on; the next count')]
    within_s: Annotated[PositiveSeconds, described('in so many seconds')] = 60
    digits: Annotated[int, described('digits that the numbers of a range begin with', ge=1, le=15)] = 9
    sequential: Annotated[
        bool, described('numbers that follow one another, at most 10 apart, in place of ranges by their digits')
    ] = False


class VelocityConfig(Part, frozen=True):
    """More messages of one account than it ever sends; 0 = any number."""

    per_minute: Annotated[int, described('messages in 60 seconds that go on', ge=0, le=10_000_000)] = 0
    per_hour: Annotated[int, described('messages in 3600 seconds that go on', ge=0, le=1_000_000_000)] = 0
    countries: Annotated[int, described('countries of the numbers in 3600 seconds that go on', ge=0, le=300)] = 0


class FraudRuleConfig(Part, frozen=True):
    """A rule: one of text, links, look_alike, burst, velocity, and what becomes of the messages it finds."""

    name: Annotated[str, described('shown in logs, metrics and on messages', min_length=1, max_length=64)]
    action: Annotated[
        FraudAction, described('`drop` accepts the message and ends it unsent; `monitor` counts and logs')
    ] = 'refuse'
    status: Annotated[Status | None, described('answer of `refuse`; none = `fraud.status`')] = None
    accounts: Annotated[tuple[str, ...], described('accounts it is for; none = all')] = ()
    text: Annotated[
        OneOrMore | None,
        described('words in the text, whatever their case and look-alike letters; `casino*`; or `~` and an expression'),
    ] = None
    links: Annotated[LinksConfig | None, described('links in the text')] = None
    look_alike: Annotated[LookAlikeConfig | None, described('protected names')] = None
    burst: Annotated[BurstConfig | None, described('messages to one range of numbers')] = None
    velocity: Annotated[VelocityConfig | None, described('messages of an account')] = None


class FraudConfig(Part, frozen=True):
    """The fraud filter."""

    mode: Annotated[
        FraudMode, described('`monitor` counts and logs what `on` would stop; accounts can have their own')
    ] = 'on'
    status: Annotated[Status, described('answer to what is refused')] = 'ESME_RSUBMITFAIL'
    rules: Annotated[tuple[FraudRuleConfig, ...], described('rules, all are asked; the first that finds decides')] = ()
