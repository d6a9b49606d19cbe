"""Receipt texts of an account's own (wire.md E16), and what may be wrong with them."""

import re

import pytest

from pdu.receipt_template import Template, TemplateError

VALUES = (b'42', b'DELIVRD', b'2609211413', b'2609211414', b'000', b'hello', 5, 5)


@pytest.mark.wire('E16')
def test_fields_stand_where_the_template_has_them():
    template = Template('{text} {err} {stat} {done} {submit} {dlvrd} {sub} {id}')
    assert template.format(*VALUES) == b'hello 000 DELIVRD 2609211414 2609211413 005 005 42'


def test_a_field_may_stand_twice_and_signs_of_formats_are_text():
    assert Template('{id} %(id)b %s {{id}} {id}').format(*VALUES) == b'42 %(id)b %s {id} 42'


def test_the_text_of_a_message_is_no_template():
    assert Template('{id}: {text}').format(*VALUES[:5], b'{id} %d', 1, 1) == b'42: {id} %d'


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('{id} {message}', 'has `{message}`, which is no field'),
        ('{id} {}', 'has `{}`, which is no field'),
        ('{id!r}', 'has `{id!r}`, which is no field'),
        ('{id:>40}', 'has `{id:>40}`, which is no field'),
        ('{id.__class__}', 'has `{id.__class__}`, which is no field'),
        ('{id', 'has a brace without its other half'),
        ('id} {id}', 'has a brace without its other half'),
        ('{id} é', 'holds characters that are not printable ASCII'),
        ('{id}\n', 'holds characters that are not printable ASCII'),
        ('{stat}', 'has no `{id}`, so that nobody could tell which message is meant'),
        ('', 'has no `{id}`'),
        ('{id}' + 'x' * 219, 'makes texts of up to 255 octets; a receipt holds 254'),
        ('{id}' + '{text}' * 11, 'makes texts of up to 256 octets; a receipt holds 254'),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(text, reason):
    with pytest.raises(TemplateError, match='^' + re.escape(reason)):
        Template(text)
