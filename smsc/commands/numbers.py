"""Numbers as people type them at commands: E.164 digits are made of them as of those of messages, and that is said."""

from collections.abc import Iterable

import click

from routing.numbers import PLUS, Normaliser
from smsc.config.numbers_schema import NumbersConfig
from smsc.config.schema import Configuration
from smsc.numbering import normaliser_of
from smsc.stop_list_file import AS_WRITTEN, Entry, is_rewritten, parse_entry


def normaliser_for(configuration: Configuration) -> Normaliser:
    """Return what makes E.164 digits of them. Raises ClickException where the configuration cannot be read so far."""
    if configuration.is_partial and configuration.numbers == NumbersConfig():
        raise click.ClickException(
            'nothing that can be read of the configuration says how numbers are written under `numbers`; write them '
            'as +79161234567, or mend the configuration: smsc check'
        )
    return normaliser_of(configuration.numbers)


def entries_of(configuration: Configuration, numbers: Iterable[str]) -> list[Entry]:
    """Return numbers and prefixes (`7900*`). Raises UsageError for what is neither."""
    numbers = tuple(numbers)
    international = all(number.strip().startswith(PLUS) for number in numbers)
    normaliser = AS_WRITTEN if international else normaliser_for(configuration)
    entries, rewritten = [], []
    for number in numbers:
        try:
            entry = parse_entry(number, normaliser)
        except ValueError as error:
            raise click.UsageError(f'{number!r:.40} {error}') from error
        entries.append(entry)
        if is_rewritten(number, entry):
            rewritten.append(f'{number} is {entry[1]}{"*" if entry[0] else ""}')
    if rewritten:
        more = f' and {len(rewritten) - 1} more' if len(rewritten) > 1 else ''
        click.echo(f'{len(rewritten)} rewritten from national form: {rewritten[0]}{more}', err=True)
    return entries


def digits_of(configuration: Configuration, number: str) -> str:
    """Return the digits of one number. Raises UsageError for what is none."""
    (is_prefix, digits) = entries_of(configuration, (number,))[0]
    if is_prefix:
        raise click.UsageError(f'{number} is no number; write all its digits, with the calling code')
    return str(digits)
