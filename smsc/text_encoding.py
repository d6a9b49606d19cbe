"""In what encoding a table of numbers is, as registries publish them: UTF-8, or else CP1251.

It is that of the file, not of its worst line: one bad octet in a file of UTF-8 makes one bad line, and not rubbish of
all names behind it. What cannot be decoded in a line stays as lone surrogates, by which such a line is known.
"""

UTF8, CP1251 = 'utf-8', 'cp1251'
SURROGATES = 'surrogateescape'
NOT_UTF8 = 'is not UTF-8, as other lines of the file are'


def is_utf8(lines: bytes) -> bool:
    """Return whether at least half of the lines that are not ASCII are UTF-8: of CP1251 hardly one looks like that."""
    good = bad = 0
    for line in lines.split(b'\n'):
        if not line.isascii():
            try:
                line.decode(UTF8)
            except UnicodeDecodeError:
                bad += 1
            else:
                good += 1
    return good >= bad


def is_text(line: str) -> bool:
    """Return whether all of a line could be decoded."""
    try:
        line.encode(UTF8)
    except UnicodeEncodeError:
        return False
    return True
