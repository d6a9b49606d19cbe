"""What can be configured of routes."""

from typing import Annotated

from smsc.config.kinds import OneOrMore, Part, Priority, Status, described


class WhenConfig(Part, frozen=True):
    """Conditions of a route; all must hold, of a list any. `881*` is a prefix, `~` begins an RE2 expression."""

    account: Annotated[OneOrMore | None, described('name of the account')] = None
    source_addr: Annotated[OneOrMore | None, described('the sender')] = None
    destination: Annotated[OneOrMore | None, described('the number, without `+`')] = None
    text: Annotated[OneOrMore | None, described('the text')] = None
    upstream: Annotated[OneOrMore | None, described('where an MO message came from; `mo` only')] = None
    operator: Annotated[OneOrMore | None, described('operator of the number', later='the route never matches')] = None
    country: Annotated[OneOrMore | None, described('country of the number', later='the route never matches')] = None
    category: Annotated[OneOrMore | None, described('traffic category', later='the route never matches')] = None


class RouteConfig(Part, frozen=True):
    """A route: conditions, and one action or routes of its own."""

    name: Annotated[str, described('shown in logs and on each message', min_length=1)]
    when: Annotated[WhenConfig, described('conditions; none = always')] = WhenConfig()
    priority: Annotated[Priority | None, described('priority of its messages')] = None
    failover: Annotated[tuple[str, ...] | None, described('upstreams, the first that is up takes it')] = None
    split: Annotated[
        dict[str, int] | None,
        described('upstreams and their shares: percent that make 100 together, or small numbers such as 2 and 1'),
    ] = None
    cheapest: Annotated[
        tuple[str, ...] | None, described('upstreams, the cheapest takes it', later='it works as failover does')
    ] = None
    reject: Annotated[
        Status | None, described('command_status of the refusal, a name such as ESME_RINVDSTADR or a number')
    ] = None
    routes: Annotated[tuple['RouteConfig', ...] | None, described('routes below these conditions')] = None


class MoRouteConfig(Part, frozen=True):
    """Where MO messages go."""

    name: Annotated[str, described('shown in logs', min_length=1)]
    account: Annotated[str, described('the account that gets them')]
    when: Annotated[WhenConfig, described('conditions; none = always')] = WhenConfig()
