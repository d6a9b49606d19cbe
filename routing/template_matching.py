"""Whether a text matches a template as a whole.

Most placeholders can end at one place only, which is found at once. From the first that cannot, the set of places that
each piece can end at is kept, in one pass over the pieces: the time is linear in the text, whatever text and template
are.
"""

import re
from collections.abc import Callable

from routing.templates import DIGITS, ENDLESS, HOST, LETTERS, WORD, Kind, Piece, Pieces, Placeholder, is_of_word

Spans = list[tuple[int, int]]
"""Places where a piece can end, first and last, rising and without overlap."""


def matches(pieces: Pieces, text: str) -> bool:
    """Return whether a text, folded as the template was and with one space before it, matches as a whole."""
    if not text.startswith(pieces.first):
        return False
    place = len(pieces.first)
    for number, piece in enumerate(pieces.rest):
        if piece.sole is None:
            return _search(pieces.rest[number:], text, place)
        match = piece.sole.match(text, place)
        if match is None:
            return False
        place = match.end()
        if not text.startswith(piece.literal, place):
            return False
        place += len(piece.literal)
    return place == len(text)


def _search(rest: tuple[Piece, ...], text: str, place: int) -> bool:
    """Return whether these pieces match from a place to the end of the text, each in all the places that it can."""
    places = [place]
    for piece in rest[:-1]:
        places = _behind(piece.placeholder, piece.literal, text, places)
        if not places:
            return False
    last = rest[-1]
    end = len(text) - len(last.literal)
    return end >= places[0] and text.endswith(last.literal) and _ends_at(last.placeholder, text, places, end)


def _behind(placeholder: Placeholder, literal: str, text: str, places: list[int]) -> list[int]:
    """Return the places behind a placeholder and the text behind it, when it begins at one of these; rising."""
    found: list[int] = []
    ends_well = _ends_word if placeholder.kind is Kind.WORDS else None
    size = len(literal)
    for first, last in _spans(placeholder, text, places):
        end = text.find(literal, first, last + size)
        while end >= 0:
            if ends_well is None or ends_well(text, end):
                found.append(end + size)
            end = text.find(literal, end + 1, last + size)
    if placeholder.least == 0 and (placeholder.spaced or placeholder.kind is Kind.WORDS):
        found = sorted({*found, *(place + size for place in places if text.startswith(literal, place))})
    return found


def _ends_at(placeholder: Placeholder, text: str, places: list[int], end: int) -> bool:
    if placeholder.least == 0 and end in places:
        return True
    if placeholder.kind is Kind.WORDS and not _ends_word(text, end):
        return False
    return any(first <= end <= last for first, last in _spans(placeholder, text, places))


def _spans(placeholder: Placeholder, text: str, places: list[int]) -> Spans:
    if placeholder.spaced:
        places = [place + 1 for place in places if text.startswith(' ', place)]
    return _SPANS[placeholder.kind](placeholder, text, places)


def _add(spans: Spans, first: int, last: int) -> None:
    """Add a span that begins behind the beginning of the one before it."""
    if first > last:
        return
    if spans and first <= spans[-1][1] + 1:
        if last > spans[-1][1]:
            spans[-1] = (spans[-1][0], last)
    else:
        spans.append((first, last))


def _any_spans(placeholder: Placeholder, text: str, places: list[int]) -> Spans:
    spans: Spans = []
    for place in places:
        _add(spans, place + placeholder.least, min(place + placeholder.most, len(text)))
    return spans


def _run_spans(run: re.Pattern[str]) -> Callable[[Placeholder, str, list[int]], Spans]:
    """Return the spans of characters of one kind; a run is measured once, wherever in it a placeholder begins."""

    def spans_of(placeholder: Placeholder, text: str, places: list[int]) -> Spans:
        spans: Spans = []
        end = 0
        for place in places:
            if place >= end:
                match = run.match(text, place)
                if match is None:
                    if not placeholder.least:
                        _add(spans, place, place)
                    continue
                end = match.end()
            _add(spans, place + placeholder.least, min(place + placeholder.most, end))
        return spans

    return spans_of


def _word_spans(placeholder: Placeholder, text: str, places: list[int]) -> Spans:
    """Return the spans of words; places in them where no word ends do not count (_ends_word)."""
    spans: Spans = []
    end = 0  # of the word that was measured
    for place in places:
        if place < end:
            continue  # inside the same word: it ends where that does
        match = WORD.match(text, place)
        if match is not None:
            end = match.end()
            first, last = _words_from(placeholder, text, end)
            _add(spans, place + 1 if placeholder.least <= 1 else first, last)
    return spans


def _words_from(placeholder: Placeholder, text: str, end: int) -> tuple[int, int]:
    """Return where the least words can end that begin with the one that ends here, and where the most do."""
    first = end if placeholder.least <= 1 else ENDLESS
    for number in range(2, placeholder.most + 1):
        match = WORD.match(text, end + 1) if text.startswith(' ', end) else None
        if match is None:
            break
        if number == placeholder.least:
            first = end + 2
        end = match.end()
    return first, end


def _ends_word(text: str, end: int) -> bool:
    return is_of_word(text[end - 1])


def _address_spans(placeholder: Placeholder, text: str, places: list[int]) -> Spans:
    """Return the spans of addresses: from the end of the host to the next space when a path begins there."""
    spans: Spans = []
    space = -1
    for place in places:
        match = HOST.match(text, place)
        if match is None:
            continue
        end = match.end()
        if text[end : end + 1] in ('/', '?', '#'):
            if space < end:
                space = text.find(' ', end)
                space = len(text) if space < 0 else space
            spans.append((end, space))
        else:
            spans.append((end, end))
    return _joined(spans)


def _joined(spans: Spans) -> Spans:
    joined: Spans = []
    for first, last in sorted(spans):
        _add(joined, first, last)
    return joined


_SPANS: dict[Kind, Callable[[Placeholder, str, list[int]], Spans]] = {
    Kind.WORDS: _word_spans,
    Kind.DIGITS: _run_spans(DIGITS),
    Kind.LETTERS: _run_spans(LETTERS),
    Kind.ADDRESS: _address_spans,
    Kind.ANY: _any_spans,
}
