"""How many binds from an address were refused lately: one leaky bucket an address (wire.md B22). Pure.

Time is an argument, in monotonic seconds. The addresses remembered are bounded: the one refused longest ago is
forgotten first. An IPv6 address counts as the network of 64 bits that its owner can choose it from.
"""

from ipaddress import IPv6Address, ip_address

ADDRESSES_BOUND = 10_000
NETWORK_DIGITS = 19  # of an IPv6 address written out: the first 64 bits


def origin_of(peer_address: str) -> str:
    """Return what stands for an address: IPv4 as it is, also on a port of both families, IPv6 by its /64."""
    if ':' not in peer_address:
        return peer_address
    address = ip_address(peer_address)
    assert isinstance(address, IPv6Address)
    return str(address.ipv4_mapped or address.exploded[:NETWORK_DIGITS])


class Refusals:
    """Buckets that each hold a second's worth of refusals and leak at that rate."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}  # by origin, oldest first: level, when it was that

    def exceeded(self, origin: str, underway: int, rate_per_s: float, now: float) -> bool:
        """Return whether one more refusal would be more than the rate allows, if all `underway` are refused too."""
        return bool(rate_per_s) and self._level(origin, rate_per_s, now) + underway + 1 > rate_per_s

    def many(self, origin: str, rate_per_s: float, now: float) -> bool:
        """Return whether an address has used up half of what it may."""
        return 2 * self._level(origin, rate_per_s, now) > rate_per_s > 0

    def note(self, origin: str, rate_per_s: float, now: float) -> bool:
        """Note a refusal; return whether it is within the rate. What is beyond does not lengthen the wait."""
        if not rate_per_s:
            return True
        level = self._level(origin, rate_per_s, now)
        within = level + 1 <= rate_per_s
        self._buckets.pop(origin, None)
        self._buckets[origin] = (level + 1 if within else level, now)
        if len(self._buckets) > ADDRESSES_BOUND:
            del self._buckets[next(iter(self._buckets))]
        return within

    def _level(self, origin: str, rate_per_s: float, now: float) -> float:
        level, at = self._buckets.get(origin, (0.0, now))
        return max(0.0, level - (now - at) * rate_per_s)
