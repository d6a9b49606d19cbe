"""What can be configured of routes."""

from typing import Annotated, Literal

from smsc.config.kinds import OneOrMore, Part, Priority, Seconds, Status, described

Ranges = int | str | list[int | str]
ReceiptState = Literal['EXPIRED', 'DELETED', 'UNDELIV', 'UNKNOWN', 'REJECTD']
Err = Annotated[int, described('the err of a receipt', ge=0, le=999_999)]


class WhenConfig(Part, frozen=True):
    """Conditions of a route; all must hold, of a list any. `881*` is a prefix, `~` begins an RE2 expression."""

    account: Annotated[OneOrMore | None, described('name of the account')] = None
    source_addr: Annotated[OneOrMore | None, described('the sender')] = None
    destination: Annotated[OneOrMore | None, described('the number, without `+`')] = None
    text: Annotated[OneOrMore | None, described('the text')] = None
    keyword: Annotated[OneOrMore | None, described('first word of the text, small and capital letters alike')] = None
    upstream: Annotated[OneOrMore | None, described('where an MO message came from; `mo` only')] = None
    operator: Annotated[
        OneOrMore | None, described('code of the operator of the number, ported numbers included; of an MO sender')
    ] = None
    country: Annotated[OneOrMore | None, described('country of the number, two letters such as RU')] = None
    region: Annotated[OneOrMore | None, described('region of the number, as the number plan has it')] = None
    category: Annotated[OneOrMore | None, described('traffic category')] = None
    priority: Annotated[Ranges | None, described('priority so far: a number, `2-3`, `>1`; or a list')] = None
    parts: Annotated[Ranges | None, described('segments of the whole message: a number, `2-5`, `>1`; or a list')] = None
    tlv: Annotated[
        dict[str, int | str] | None,
        described('TLVs by name or number (`0x1400`), each `any`, a number, or a pattern of its text'),
    ] = None
    time: Annotated[OneOrMore | None, described('hours such as `09:00-18:00`, `22:00-06:00` goes beyond midnight')] = (
        None
    )
    days: Annotated[OneOrMore | None, described('days such as `mon-fri` or `sat`')] = None
    zone: Annotated[
        str | None,
        described("zone of `time` and `days`, such as Europe/Moscow; `subscriber` = the number's; none = UTC"),
    ] = None


class OnFailureConfig(Part, frozen=True):
    """Other upstreams for messages that were sent and not delivered; the ESME still gets one receipt."""

    upstreams: Annotated[tuple[str, ...], described('these are tried, in this order', wire='G4')]
    states: Annotated[
        tuple[ReceiptState, ...], described('what receipts say of messages that are to be tried there', wire='G4')
    ] = ('UNDELIV', 'EXPIRED', 'REJECTD')
    errors: Annotated[tuple[Err, ...], described('only receipts with one of these in err; none = any', wire='G4')] = ()
    after_s: Annotated[
        Seconds, described('a message without a receipt is tried there after this; 0 = it waits on', wire='G4')
    ] = 0


class RouteConfig(Part, frozen=True):
    """A route: conditions, and one action or routes of its own."""

    name: Annotated[str, described('shown in logs and on each message', min_length=1)]
    when: Annotated[WhenConfig, described('conditions; none = always')] = WhenConfig()
    unless: Annotated[
        WhenConfig | None, described('the same conditions: where all of these hold, the route does not match')
    ] = None
    priority: Annotated[Priority | None, described('priority of its messages')] = None
    failover: Annotated[tuple[str, ...] | None, described('upstreams, the first that is up takes it')] = None
    split: Annotated[
        dict[str, int] | None,
        described('upstreams and their shares: percent that make 100 together, or small numbers such as 2 and 1'),
    ] = None
    cheapest: Annotated[
        tuple[str, ...] | None,
        described('upstreams in the order of their prices, those without a price last; the first that is up takes it'),
    ] = None
    reject: Annotated[
        Status | None, described('command_status of the refusal, a name such as ESME_RINVDSTADR or a number')
    ] = None
    drop: Annotated[bool, described('accept, and end without sending; a receipt says REJECTD')] = False
    on_failure: Annotated[
        OnFailureConfig | None, described('other upstreams for what was sent and not delivered', wire='G4')
    ] = None
    routes: Annotated[tuple['RouteConfig', ...] | None, described('routes below these conditions')] = None


class MoRouteConfig(Part, frozen=True):
    """Where MO messages go."""

    name: Annotated[str, described('shown in logs', min_length=1)]
    account: Annotated[str, described('the account that gets them')]
    when: Annotated[WhenConfig, described('conditions; none = always')] = WhenConfig()
    unless: Annotated[
        WhenConfig | None, described('the same conditions: where all of these hold, the route does not match')
    ] = None
