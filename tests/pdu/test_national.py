"""National language shift tables: their form, samples known from the annex, the choice between them."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdu import alphabets, national
from pdu.cutting import split
from pdu.national import Language, decode, encode, languages_of

ALL = tuple(Language)
# What a table may have twice: the Indian ones escape to these from two septets (23.038 sections A.2.4 to A.2.13).
TWICE = {'¡', '*'}
WITH_LOCKING = [language for language in Language if language is not Language.SPANISH]


def read(locking, single, septets):
    return decode(bytes(septets), locking, single)


def defined(locking, single, escaped):
    """Characters by septet, as reading shows them; an escape to nothing shows the locking table's character."""
    plain = {septet: read(locking, 0, [septet]) for septet in range(128) if septet != 0x1B}
    if not escaped:
        return {septet: character for septet, character in plain.items() if character != '\ufffd'}
    found = {septet: read(locking, single, [0x1B, septet]) for septet in plain}
    return {septet: character for septet, character in found.items() if character not in ('\ufffd', plain[septet])}


@pytest.mark.wire('D14')
@pytest.mark.parametrize('language', WITH_LOCKING, ids=lambda language: language.name)
def test_a_locking_table_has_each_character_once(language):
    table = defined(language, 0, escaped=False)
    assert len(set(table.values())) == len(table) <= 127
    assert 0x1B not in table
    assert ''.join(table[septet] for septet in range(0x61, 0x7B)) == 'abcdefghijklmnopqrstuvwxyz'
    assert ''.join(table[septet] for septet in range(0x30, 0x3A)) == '0123456789'
    assert (table[0x0A], table[0x0D], table[0x20]) == ('\n', '\r', ' ')


@pytest.mark.wire('D14')
@pytest.mark.parametrize(
    ('language', 'locking', 'single'),
    [
        (Language.TURKISH, 127, 17),
        (Language.SPANISH, None, 19),
        (Language.PORTUGUESE, 127, 37),
        (Language.BENGALI, 114, 82),
        (Language.GUJARATI, 120, 70),
        (Language.HINDI, 127, 88),
        (Language.KANNADA, 120, 73),
        (Language.MALAYALAM, 120, 82),
        (Language.ORIYA, 116, 75),
        (Language.PUNJABI, 110, 76),
        (Language.TAMIL, 102, 77),
        (Language.TELUGU, 120, 78),
        (Language.URDU, 127, 90),
    ],
    ids=str,
)
def test_tables_have_the_size_they_have_in_the_annex(language, locking, single):
    if locking is not None:
        assert len(defined(language, 0, escaped=False)) == locking
    # Read with a locking table that shares no character at the same septet with the extension.
    escaped = {s: c for s, c in defined(Language.URDU, language, escaped=True).items() if c != '\ufffd'}
    assert len(escaped) == single
    assert {c for c in escaped.values() if list(escaped.values()).count(c) > 1} <= TWICE
    assert escaped[0x65] == '€'
    assert {escaped[s] for s in (0x14, 0x28, 0x29, 0x2F, 0x3C, 0x3D, 0x3E, 0x40, 0x0A)} == set('^{}\\[~]|\f')


@pytest.mark.wire('D14')
@pytest.mark.parametrize('language', WITH_LOCKING[2:-1], ids=lambda language: language.name)
def test_an_indian_table_has_only_characters_of_its_script(language):
    names = {unicodedata.name(c, '').split()[0] for c in defined(language, 0, escaped=False).values() if c > '\u0900'}
    script = {'PUNJABI': 'GURMUKHI', 'HINDI': 'DEVANAGARI'}.get(language.name, language.name)
    assert names == {script}


@pytest.mark.wire('D14')
@pytest.mark.parametrize(
    ('locking', 'single', 'septets', 'text'),
    [
        (Language.TURKISH, 0, '40 07 1C 1D 0B 0C 60 04', 'İıŞşĞğç€'),
        (0, Language.TURKISH, '1B49 1B69 1B53 1B73 1B47 1B67 1B63', 'İıŞşĞğç'),
        (0, Language.SPANISH, '1B41 1B61 1B69 1B6F 1B75 1B09 7D', 'Ááíóúçñ'),
        (Language.PORTUGUESE, 0, '7B 7C 0F 07 08 06 09 1D 04 15', 'ãõáíóúçâê∞'),
        (0, Language.PORTUGUESE, '1B7B 1B7C 1B0F 1B05 1B7F 1B12', 'ãõáêâΦ'),
        (Language.HINDI, 0, '42 2F 46 4B 27 59', '\u092e\u0928\u0932\u0937\u0924\u0947'),
        (Language.HINDI, Language.HINDI, '1B1C 1B26 1B19', '०\u0951।'),
        (Language.URDU, 0, '00 02 4D', 'ابل'),
        (Language.TAMIL, 0, '27 42 46', 'தமல'),
        (0, 0, '1B65 00', '€@'),
    ],
    ids=str,
)
def test_known_septets(locking, single, septets, text):
    assert decode(bytes.fromhex(septets), locking, single) == text


@pytest.mark.wire('D14')
@pytest.mark.parametrize(
    ('text', 'languages', 'elements'),
    [
        ('Hello {€}', ALL, ()),
        # Either table alone has these; locking needs no escapes.
        ('Şişli', (Language.TURKISH,), ((0x25, b'\x01'),)),
        ('mañana está', (Language.SPANISH,), ((0x24, b'\x02'),)),
        ('não é', (Language.PORTUGUESE,), ((0x25, b'\x03'),)),
        # Capitals are only in the single shift table, the script only in the locking one.
        ('नमस्ते ABC', (Language.HINDI,), ((0x24, b'\x06'), (0x25, b'\x06'))),
        ('नमस्ते', (Language.TAMIL, Language.HINDI), ((0x25, b'\x06'),)),
    ],
    ids=str,
)
def test_the_shortest_tables_are_chosen(text, languages, elements):
    found = encode(text, languages)
    assert found is not None
    assert found.elements == elements
    assert decode(found.septets, *languages_of(found.elements)) == text


@pytest.mark.wire('D14')
@pytest.mark.parametrize('text', ['Şişli Ж', '👋', 'नमस्ते தமிழ்', '\x1b', '\ufffd'])
def test_one_character_that_is_lacking_is_enough_for_none(text):
    assert encode(text, ALL) is None


@pytest.mark.wire('D14')
def test_no_language_is_used_that_is_not_enabled():
    assert encode('Şişli', ()) is None
    assert encode('Şişli', (Language.SPANISH, Language.HINDI)) is None


@pytest.mark.wire('D14')
@given(st.data(), st.sampled_from(ALL))
def test_what_is_written_is_read(data, language):
    locking = language if language in WITH_LOCKING else 0
    table = national._encoding(locking, language)
    text = data.draw(st.text(st.sampled_from(sorted(table)), max_size=300))
    found = encode(text, (language,))
    assert found is not None
    assert max(found.septets, default=0) < 0x80
    assert decode(found.septets, *languages_of(found.elements)) == text


@pytest.mark.wire('D14', 'A10')
@given(st.binary(max_size=100), st.integers(0, 255), st.integers(0, 255))
def test_reading_never_fails(octets, locking, single):
    assert isinstance(decode(octets, locking, single), str)


@pytest.mark.wire('D14')
def test_an_unknown_language_means_the_default_tables():
    assert decode(b'\x00\x1b\x65', 14, 200) == '@€'


@pytest.mark.wire('D3', 'D14')
def test_no_escape_of_a_national_text_is_cut():
    found = encode('ş' * 200 + 'a', (Language.TURKISH,))
    assert found is not None
    single = b''.join([bytes([0x1B, 0x73])] * 200)
    parts = split(single, 0, alphabets.Alphabet.GSM, 4, 9)
    assert [len(part) for part in parts] == [148, 148, 104]
    assert all(decode(part, 0, Language.TURKISH) == 'ş' * (len(part) // 2) for part in parts)


@pytest.mark.wire('D14')
@pytest.mark.parametrize(
    ('elements', 'languages'),
    [
        ((), (0, 0)),
        (((0x24, b'\x01'),), (0, 1)),
        (((0x00, b'\x01\x02\x01'), (0x25, b'\x06'), (0x24, b'\x03')), (6, 3)),
        (((0x24, b''), (0x25, b'\x01\x02')), (0, 0)),
    ],
)
def test_a_header_names_its_languages(elements, languages):
    assert languages_of(elements) == languages
