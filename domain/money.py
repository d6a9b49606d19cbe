"""Amounts of money: whole micro-units (a millionth of a currency's unit) as integers, never floats.

Raises ValueError for what is no amount; nothing is rounded.
"""

from decimal import Decimal, InvalidOperation

MICROS = 1_000_000
PLACES = 6
MOST_MICROS = 10**15  # a milliard units: sums of many stay far inside a bigint
MOST_DIGITS = 12  # before the decimals: more is too much anyway
SHOWN_PLACES = 2


def parse_micros(text: str | Decimal) -> int:
    """Return an amount such as `1.25`, `-3` or `+1000` as micro-units.

    Raises ValueError with what is wrong: no number, more than six decimals, too much.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError('is no amount') from None
    if not amount.is_finite():
        raise ValueError('is no amount')
    if amount.adjusted() > MOST_DIGITS:
        raise ValueError(f'is beyond {MOST_MICROS // MICROS}')
    if amount and (amount.adjusted() < -PLACES or len(amount.as_tuple().digits) > MOST_DIGITS + PLACES):
        raise ValueError(f'has more than {PLACES} decimals')
    micros = amount.scaleb(PLACES)  # exact: it has few digits
    if micros != int(micros):
        raise ValueError(f'has more than {PLACES} decimals')
    if abs(micros) > MOST_MICROS:
        raise ValueError(f'is beyond {MOST_MICROS // MICROS}')
    return int(micros)


def format_micros(micros: int) -> str:
    """Return micro-units as a decimal number of two to six decimals: `1.25`, `-0.000001`."""
    units, rest = divmod(abs(micros), MICROS)
    decimals = f'{rest:06}'.rstrip('0').ljust(SHOWN_PLACES, '0')
    return f'{"-" if micros < 0 else ""}{units}.{decimals}'
