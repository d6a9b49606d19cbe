"""Rules of the fraud filter that count messages: to a range of numbers (SMS pumping), of an account.

Counts slide: what was counted in the last full window still weighs as much as of that window is within reach. They are
kept for two windows, and for MAX_KEYS ranges a rule; when there are more the window ends early. Messages that are
stopped do not count: of a burst, as many go on in each window as the rule lets.
"""

import msgspec

from routing.facts import Facts

MAX_KEYS = 200_000  # ranges of one window of one rule, 100 octets each
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
MAX_DIGITS = 20  # of an address, SMPP 3.4 section 5.2.9; E.164 has 15
ACCOUNT_BITS = 20
ENDLESS = 1 << 62
Key = int | str
NEXT_WITHIN = 10  # numbers so near are sequential
MAX_RUNS = 10_000  # of one account and rule in one window


class Window:
    """Two generations of something counted by key; a generation ends with the window."""

    __slots__ = ('_limit', '_size_ms', 'began_ms', 'ends_ms', 'former', 'present')

    def __init__(self, size_ms: int, limit: int = MAX_KEYS) -> None:
        """`limit` is for the keys of a generation."""
        self._size_ms = size_ms
        self._limit = limit
        self.began_ms = self.ends_ms = 0
        self.present: dict[Key, int] = {}
        self.former: dict[Key, int] = {}

    def admits(self, key: Key, now_ms: int, messages: int) -> bool:
        """Return whether there were fewer than so many in the last window; count one more then.

        Rules do what is usual themselves: the key is known, and far from its limit.
        """
        if not self.began_ms <= now_ms < self.ends_ms:
            self._turn(now_ms)
        count = self.present.get(key, 0)
        if count + self.former.get(key, 0) >= messages and self.about(key, now_ms) > messages - 1:
            return False
        if not count and len(self.present) >= self._limit:
            self.former, self.present = self.present, {}
            self.began_ms, self.ends_ms = now_ms, now_ms + self._size_ms
        self.present[key] = count + 1
        return True

    def about(self, key: Key, now_ms: int) -> float:
        """Return how many there were in the last window, taking those of the former generation as evenly spread."""
        if not self.began_ms <= now_ms < self.ends_ms:
            self._turn(now_ms)
        left: float = self.former.get(key, 0) * (self.ends_ms - now_ms) / self._size_ms
        return self.present.get(key, 0) + left

    def add(self, key: Key, now_ms: int) -> None:
        """Count one more, whatever there is."""
        self.admits(key, now_ms, ENDLESS)

    def take(self, key: Key) -> None:
        """Count one less."""
        for generation in (self.present, self.former):
            if generation.get(key, 0) > 0:
                generation[key] -= 1
                return

    def _turn(self, now_ms: int) -> None:
        """Begin a generation; a clock that was set back begins one with the counts there are."""
        age_ms = now_ms - self.began_ms
        if age_ms < 0:
            age_ms = 0
        else:
            self.former = self.present if age_ms < 2 * self._size_ms else {}
            self.present = {}
        self.began_ms = now_ms - age_ms % self._size_ms
        self.ends_ms = self.began_ms + self._size_ms


class Ranges:
    """Counts of one rule by ranges of numbers, for all accounts."""

    __slots__ = ('_accounts', 'window')

    def __init__(self, size_ms: int, limit: int = MAX_KEYS) -> None:
        self.window = Window(size_ms, limit)
        self._accounts: dict[str, int] = {}

    def index(self, account: str) -> int:
        """Return the number that an account is known by here."""
        return self._accounts.setdefault(account, len(self._accounts))


class BurstRule:
    """More messages of an account to numbers that begin alike than a window may have."""

    counts = True
    __slots__ = ('_account', '_digits', '_messages', '_powers', '_window')

    def __init__(self, account: str, ranges: Ranges, messages: int, digits: int) -> None:
        """`ranges` may be shared with other accounts."""
        self._account = ranges.index(account)
        self._window = ranges.window
        self._messages = messages
        self._digits = digits
        self._powers = tuple(int('1' + '0' * (size - digits)) for size in range(MAX_DIGITS + 1))

    def judge(self, facts: Facts) -> str:
        """Return what was found; count the message when nothing was."""
        number, size = facts.number, len(facts.destination)
        if not number or size > MAX_DIGITS:
            return ''
        key = number // self._powers[size] << ACCOUNT_BITS | self._account  # as `_key` does it, without the call
        window, now_ms = self._window, facts.now_ms
        present = window.present
        if key in present and window.began_ms <= now_ms < window.ends_ms:  # nearly always; the rest costs a call
            count = present[key]
            if count + window.former.get(key, 0) < self._messages:
                present[key] = count + 1
                return ''
        return '' if window.admits(key, now_ms, self._messages) else self._found(facts)

    def find(self, facts: Facts) -> str:
        """Return what was found, '' for nothing."""
        key = self._key(facts)
        if key < 0 or self._window.about(key, facts.now_ms) <= self._messages - 1:
            return ''
        return self._found(facts)

    def count(self, facts: Facts) -> None:
        """Count a message that goes on."""
        key = self._key(facts)
        if key >= 0:
            self._window.add(key, facts.now_ms)

    def uncount(self, facts: Facts) -> None:
        """Forget one that did not after all."""
        self._window.take(self._key(facts))

    def _key(self, facts: Facts) -> int:
        """Return the range of a number, together with the account; -1 for what is no number."""
        number, size = facts.number, len(facts.destination)
        if not number or size > MAX_DIGITS:
            return -1
        return number // self._powers[size] << ACCOUNT_BITS | self._account

    def _found(self, facts: Facts) -> str:
        return f'more than {self._messages} messages to {facts.destination[: self._digits]}*'


class Run(msgspec.Struct):
    """Numbers one after the other."""

    length: int
    began_ms: int


class SequenceRule:
    """More messages of an account to numbers that follow one another, with others between them or not."""

    counts = True
    __slots__ = ('_base', '_ends', '_former', '_limit', '_size_ms', '_turned_ms')

    def __init__(self, size_ms: int, messages: int) -> None:
        self._limit = messages
        self._size_ms = size_ms
        self._turned_ms = 0
        self._ends: dict[int, Run] = {}  # by the last number of each run
        self._former: dict[int, Run] = {}

    def find(self, facts: Facts) -> str:
        """Return what was found, '' for nothing."""
        run = self._before(facts.number, facts.now_ms)
        return f'more than {self._limit} numbers in a row' if run is not None and run.length >= self._limit else ''

    def judge(self, facts: Facts) -> str:
        """Return what was found; count the message when nothing was."""
        found = self.find(facts)
        if not found:
            self.count(facts)
        return found

    def _before(self, number: int, now_ms: int) -> Run | None:
        """Return the longest run that a number goes on with."""
        longest = None
        for end in range(number - NEXT_WITHIN, number):
            run = self._ends.get(end) or self._former.get(end)
            if run is not None and abs(now_ms - run.began_ms) < self._size_ms:
                longest = run if longest is None or run.length > longest.length else longest
        return longest

    def count(self, facts: Facts) -> None:
        """Count a message that goes on."""
        number, now_ms = facts.number, facts.now_ms
        run = self._before(number, now_ms)
        if len(self._ends) >= MAX_RUNS or not 0 <= now_ms - self._turned_ms < self._size_ms:
            self._former, self._ends, self._turned_ms = self._ends, {}, now_ms
        self._ends[number] = Run(1, now_ms) if run is None else Run(run.length + 1, run.began_ms)

    def uncount(self, facts: Facts) -> None:
        """Forget one that did not after all."""
        run = self._ends.get(facts.number)
        if run is not None:
            run.length -= 1


class Pace:
    """What an account sent lately; it stays when the rule changes."""

    __slots__ = ('countries', 'hour', 'minute')

    def __init__(self) -> None:
        self.minute = Window(MINUTE_MS)
        self.hour = Window(HOUR_MS)
        self.countries = Window(HOUR_MS)


class VelocityRule:
    """More messages of an account in a minute or an hour, or to more countries, than it ever sends."""

    counts = True
    __slots__ = ('_countries', '_limits', '_seen')

    def __init__(self, pace: Pace, per_minute: int = 0, per_hour: int = 0, countries: int = 0) -> None:
        """0 = any number."""
        limits = ((pace.minute, per_minute, 'a minute'), (pace.hour, per_hour, 'an hour'))
        self._limits = tuple(limit for limit in limits if limit[1])
        self._seen = pace.countries
        self._countries = countries

    def judge(self, facts: Facts) -> str:
        """Return what was found; count the message when nothing was."""
        now_ms = facts.now_ms
        for window, messages, time in self._limits:
            present = window.present
            if 0 in present and window.began_ms <= now_ms < window.ends_ms:  # as of a range
                sent = present[0]
                if sent + window.former.get(0, 0) < messages:
                    present[0] = sent + 1
                    continue
            if not window.admits(0, now_ms, messages):
                self._take_before(window)
                return f'more than {messages} messages in {time}'
        country = facts.place.country if self._countries else ''
        if country:
            count = self._seen.present.get(country)
            if count and now_ms < self._seen.ends_ms:  # nearly always; the rest costs a call
                self._seen.present[country] = count + 1
            elif self._is_one_more(country, now_ms):
                self._take_before(None)
                return f'more than {self._countries} countries in an hour'
            else:
                self._seen.add(country, now_ms)
        return ''

    def _take_before(self, refusing: Window | None) -> None:
        """Forget what the limits before the one that refused have counted already."""
        for window, _, _ in self._limits:
            if window is refusing:
                return
            window.take(0)

    def find(self, facts: Facts) -> str:
        """Return what was found, '' for nothing."""
        now_ms = facts.now_ms
        for window, messages, time in self._limits:
            if window.about(0, now_ms) > messages - 1:
                return f'more than {messages} messages in {time}'
        if self._countries and facts.place.country and self._is_one_more(facts.place.country, now_ms):
            return f'more than {self._countries} countries in an hour'
        return ''

    def _is_one_more(self, country: str, now_ms: int) -> bool:
        """Return whether a country is one more than may be."""
        seen = self._seen
        if seen.about(country, now_ms):
            return False
        return sum(1 for one in {*seen.present, *seen.former} if seen.about(one, now_ms)) >= self._countries

    def count(self, facts: Facts) -> None:
        """Count a message that goes on."""
        for window, _, _ in self._limits:
            window.add(0, facts.now_ms)
        if self._countries and facts.place.country:
            self._seen.add(facts.place.country, facts.now_ms)

    def uncount(self, facts: Facts) -> None:
        """Forget one that did not after all."""
        for window, _, _ in self._limits:
            window.take(0)
        if self._countries and facts.place.country:
            self._seen.take(facts.place.country)
