"""Writes a decoder and an encoder for one PDU class from its annotated fields, as source text compiled at import.

A run of integers and C-octet strings becomes one bounded regular expression, whose groups are the values: one call in
C checks every size and every NUL and cannot look past the end of the PDU. Writing is one `%` format. Octets or values
that such a function does not take go to the kinds in `fields`, one by one; they name the fault in a PduError.

The functions' text can be read with `inspect.getsource` and in tracebacks.
"""

import linecache
import re
from collections.abc import Callable
from struct import Struct as Layout
from typing import Any, Protocol, cast, get_type_hints

from pdu.command import RESPONSE
from pdu.fields import COctetString, Integer, Kind, OctetString
from pdu.pdus import DataSmResp, DeliverSmResp, Pdu
from pdu.status import CommandStatus, PduError
from pdu.tlvs import decode_tlvs, encode_tlvs

Decoder = Callable[[bytes, int, int, int, int], Pdu]
"""(octets, start of the body, end, command_status, sequence_number); the header stands in `octets` before the body."""

HEADER = Layout('>IIII')
"""command_length, command_id, command_status, sequence_number: 3.4 section 3.2."""

HEADER_OCTETS = 16

# The specification lets these keep their body whatever the status (3.4 sections 4.6.2 and 4.7.2).
_BODY_ALWAYS = (DeliverSmResp, DataSmResp)


class Encoder(Protocol):
    """Octets of a PDU with header. `error_body` keeps the empty body of an error response, see `codec.encode`."""

    def __call__(self, pdu: Any, error_body: bool = False) -> bytes: ...


def kinds_of(cls: type[Pdu]) -> dict[str, Kind]:
    """The mandatory parameters of a PDU class in the order of the wire."""
    hints = get_type_hints(cls, include_extras=True)
    kinds = {name: getattr(hints[name], '__metadata__', ()) for name in cls.__struct_fields__}
    return {name: metadata[0] for name, metadata in kinds.items() if metadata}


def command_name(cls: type[Pdu]) -> str:
    """The specification's name of a PDU class: SubmitSmResp is submit_sm_resp."""
    return re.sub('(?<!^)(?=[A-Z])', '_', cls.__name__).lower()


def generate_decoder(cls: type[Pdu]) -> Decoder:
    """A function that decodes the body of `cls`; see `Decoder` for its parameters. It raises PduError."""
    kinds = kinds_of(cls)
    namespace: dict[str, Any] = {
        'cls': cls,
        'decode_tlvs': decode_tlvs,
        'explain': _explaining_decoder(cls, kinds),
    }
    lines = ['def {name}(octets, start, end, command_status, sequence_number):']
    if not kinds:
        lines.append('    if start != end: return explain(octets, start, end, command_status, sequence_number)')
        lines.append('    return cls(sequence_number, command_status)')
        return cast(Decoder, _compile(f'decode_{command_name(cls)}', lines, namespace))
    if cls.command_id & RESPONSE:
        # Peers leave out the body of error responses, and some the unused message_id of deliver_sm_resp.
        lines.append('    if start == end: return cls(sequence_number, command_status)')
    values = ['sequence_number', 'command_status', *kinds, '() if at == end else decode_tlvs(octets, at, end)']
    if 'octets' in cls.__struct_fields__:
        lines.append('    octets, at, end = octets[start - 16:end], 16, end - start + 16')
        values.append('octets')
    else:
        lines.append('    at = start')
    lines += _decoding_lines(kinds, namespace)
    lines.append(f'    return cls({", ".join(values)})')
    return cast(Decoder, _compile(f'decode_{command_name(cls)}', lines, namespace))


def _decoding_lines(kinds: dict[str, Kind], namespace: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    run: list[tuple[str, Kind]] = []
    explain = 'return explain(octets, body, end, command_status, sequence_number)'
    lines.append('    body = at')
    for name, kind in kinds.items():
        if isinstance(kind, Integer | COctetString):
            run.append((name, kind))
            continue
        if isinstance(kind, OctetString):
            lines += _run_lines([*run, (f'{name}_size', Integer())], namespace, explain)
            lines += [f'    stop = at + {name}_size', f'    if stop > end: {explain}']
            lines += [f'    {name} = octets[at:stop]', '    at = stop']
        else:
            lines += _run_lines(run, namespace, explain)
            namespace[f'decode_{name}'] = kind.decode
            lines.append(f'    {name}, at = decode_{name}(octets, at, end, {name!r})')
        run = []
    return lines + _run_lines(run, namespace, explain)


def _run_lines(run: list[tuple[str, Kind]], namespace: dict[str, Any], explain: str) -> list[str]:
    """Matches neighbouring integers and C-octet strings at once; neighbouring integers share a group."""
    if not run:
        return []
    pattern = b''
    targets: list[str] = []
    integers: list[str] = []
    for name, kind in run:
        if isinstance(kind, COctetString):
            pattern, targets, integers = _close_integers(pattern, targets, integers)
            pattern += b'([^\\0]{0,%d})\\0' % (kind.size - 1)
            targets.append(name)
        else:
            integers.append(name)
    pattern, targets, _ = _close_integers(pattern, targets, integers)
    matcher = f'match_{len(namespace)}'
    namespace[matcher] = re.compile(pattern, re.DOTALL).match
    return [
        f'    found = {matcher}(octets, at, end)',
        f'    if found is None: {explain}',
        f'    {", ".join(targets)}, = found.groups()',
        '    at = found.end()',
    ]


def _close_integers(pattern: bytes, targets: list[str], integers: list[str]) -> tuple[bytes, list[str], list[str]]:
    if integers:
        pattern += b'(%b)' % (b'.' * len(integers))
        targets = [*targets, f'({", ".join(integers)},)']
    return pattern, targets, []


def _explaining_decoder(cls: type[Pdu], kinds: dict[str, Kind]) -> Decoder:
    def explain(octets: bytes, start: int, end: int, command_status: int, sequence_number: int) -> Pdu:
        values: dict[str, Any] = {}
        position = start
        for name, kind in kinds.items():
            values[name], position = kind.decode(octets, position, end, name)
        if 'tlvs' in cls.__struct_fields__:
            values['tlvs'] = decode_tlvs(octets, position, end)
        elif position != end:
            raise PduError(CommandStatus.ESME_RINVCMDLEN, f'{command_name(cls)} has no body')
        if 'octets' in cls.__struct_fields__:
            values['octets'] = octets[start - HEADER_OCTETS : end]
        return cls(sequence_number, command_status, **values)

    return explain


def generate_encoder(cls: type[Pdu]) -> Encoder:
    """A function that encodes a PDU of `cls`. It raises PduError for a value that does not fit its parameter."""
    kinds = kinds_of(cls)
    namespace: dict[str, Any] = {
        'header': HEADER.pack,
        'encode_tlvs': encode_tlvs,
        'explain': _explaining_encoder(kinds),
    }
    lines = ['def {name}(pdu, error_body=False):']
    if not kinds:
        if 'tlvs' in cls.__struct_fields__:
            lines.append('    body = encode_tlvs(pdu.tlvs) if pdu.tlvs else b""')
            length, body = '16 + len(body)', ' + body'
        else:
            length, body = '16', ''
        lines.append(
            f'    return header({length}, {int(cls.command_id)}, pdu.command_status, pdu.sequence_number){body}'
        )
        return cast(Encoder, _compile(f'encode_{command_name(cls)}', lines, namespace))
    strings = {name: kind for name, kind in kinds.items() if not isinstance(kind, Integer)}
    lines += [f'    {name} = pdu.{name}' for name in (*strings, 'tlvs', 'command_status')]
    if cls.command_id & RESPONSE and not issubclass(cls, _BODY_ALWAYS):
        empty = ' or '.join(f'pdu.{name}' for name in (*kinds, 'tlvs'))
        lines.append(f'    if command_status and not error_body and not ({empty}):')
        lines.append(f'        return header(16, {int(cls.command_id)}, command_status, pdu.sequence_number)')
    lines += _encoding_lines(kinds, namespace)
    lines += [
        '    if tlvs: body += encode_tlvs(tlvs)',
        f'    return header(16 + len(body), {int(cls.command_id)}, command_status, pdu.sequence_number) + body',
    ]
    return cast(Encoder, _compile(f'encode_{command_name(cls)}', lines, namespace))


def _encoding_lines(kinds: dict[str, Kind], namespace: dict[str, Any]) -> list[str]:
    text = ''
    values: list[str] = []
    checks: list[str] = []
    for name, kind in kinds.items():
        if isinstance(kind, Integer):
            text += '%c'
            values.append(f'pdu.{name}')
        elif isinstance(kind, COctetString):
            text += '%b\\0'
            values.append(name)
            # A NUL inside would shift every parameter after it.
            checks.append(f'{name} and (len({name}) > {kind.size - 1} or 0 in {name})')
        elif isinstance(kind, OctetString):
            text += '%c%b'
            values += [f'len({name})', name]
        else:
            namespace[f'encode_{name}'] = kind.encode
            text += '%b'
            values.append(f'encode_{name}({name}, {name!r})')
    return [
        f'    if {" or ".join(checks)}: body = explain(pdu)',
        '    else:',
        f"        try: body = b'{text}' % ({', '.join(values)},)",
        '        except OverflowError: body = explain(pdu)',
    ]


def _explaining_encoder(kinds: dict[str, Kind]) -> Callable[[Pdu], bytes]:
    encode: dict[str, Callable[[Any, str], bytes]] = {name: kind.encode for name, kind in kinds.items()}

    def explain(pdu: Pdu) -> bytes:
        return b''.join([encode[name](getattr(pdu, name), name) for name in encode])

    return explain


def _compile(name: str, lines: list[str], namespace: dict[str, Any]) -> Any:
    source = '\n'.join(lines).replace('{name}', name) + '\n'
    filename = f'<generated {name}>'
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, 'exec'), namespace)
    return namespace[name]
