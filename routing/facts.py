"""What is known of a message when its way is decided: what it says of itself, and what was looked up about it."""

from collections.abc import Callable

import msgspec

from pdu.tlvs import Tlvs


class Place(msgspec.Struct, frozen=True):
    """Where a number belongs: ISO 3166 country (`RU`), operator code (`mts`), region, IANA time zone; '' = not known."""

    country: str = ''
    operator: str = ''
    region: str = ''
    zone: str = ''


NOWHERE = Place()


class Facts(msgspec.Struct, gc=False):
    """One message, for the steps of the policy and the route table; steps may set `category` and `priority`.

    `destination` is E.164 digits where the account's rules make it that, and `number` the same as a number (0 for none).
    `now_ms` is Unix milliseconds. `segments` counts the whole of a concatenated message.
    """

    account: str
    source_addr: str
    destination: str
    number: int
    read_text: Callable[[], str]
    now_ms: int = 0
    source_addr_ton: int = 0
    segments: int = 1
    tlvs: Tlvs = ()
    category: str = ''
    priority: int | None = None
    operator: str = ''
    place: Place = NOWHERE
    known_text: str | None = None

    def text(self) -> str:
        """Return the text, decoded when the first one asks."""
        text = self.known_text
        if text is None:
            text = self.known_text = self.read_text()
        return text
