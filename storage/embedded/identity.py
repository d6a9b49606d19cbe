"""Decides under whose name PostgreSQL runs, and whether that user gets where it must.

Its programs refuse to run as root. Root therefore runs them, in this order of preference:

1. as the user that owns the data already, when that is not root;
2. in a user namespace where root is seen as another: the files stay root's;
3. as `nobody`, when the system permits no namespaces (as Docker does by default): the data become that user's.

No account is made and no mode of a folder that is not ours is changed. A plain user runs them as itself. Leaves behind:
in the third case, data that were root's now belong to nobody.
"""

import asyncio
import os
import pwd
from collections.abc import Sequence
from pathlib import Path

import msgspec

from storage.embedded.datafolder import DataFolder, give_away
from storage.embedded.errors import EmbeddedPostgresError
from storage.embedded.programs import Identity, IdentityKind, reach, same_identity


class Standing(msgspec.Struct, frozen=True):
    """An identity that is permitted here, and where it cannot go."""

    identity: Identity
    program_is_closed: bool = False
    closed_folder: Path | None = None  # the first on the way to the data


async def decide(data: DataFolder, bin_folder: Path, forced: IdentityKind | None = None) -> Standing:
    """Choose the identity for the store in `data`; `forced` leaves only one way to choose from, for those who are root.

    Raises EmbeddedPostgresError when none is possible.
    """
    owner = data.postgres.stat().st_uid if data.postgres.exists() else None
    if os.geteuid() != 0:
        if owner not in {None, os.geteuid()}:
            raise EmbeddedPostgresError(
                f'{data.postgres} belongs to user id {owner}: start as that user, or give it to this one'
                f' (chown -R {os.geteuid()} {data.path})'
            )
        return Standing(same_identity())
    if owner:
        gid = data.postgres.stat().st_gid
        return await _stand([Identity(IdentityKind.ACCOUNT, owner, gid)], data, bin_folder)
    ways = {
        IdentityKind.NAMESPACE: _unprivileged(IdentityKind.NAMESPACE),
        IdentityKind.ACCOUNT: _unprivileged(IdentityKind.ACCOUNT),
    }
    chosen = [way for kind, way in ways.items() if forced in {None, kind}]
    return await _stand(chosen, data, bin_folder)


def _unprivileged(kind: IdentityKind) -> Identity:
    try:
        account = pwd.getpwnam('nobody')
    except KeyError:
        # Any other will do: no program of it runs, or it is only seen within the namespace.
        others = [one for one in pwd.getpwall() if one.pw_uid != 0]
        if not others:
            raise EmbeddedPostgresError(
                'PostgreSQL does not run as root, and /etc/passwd has no other user: add `nobody` to it'
            ) from None
        account = others[0]
    return Identity(kind, account.pw_uid, account.pw_gid)


async def _stand(ways: Sequence[Identity], data: DataFolder, bin_folder: Path) -> Standing:
    program = bin_folder / 'postgres'
    reasons: list[str] = []
    for identity in ways:
        try:
            closed = await reach(identity, [program, data.path])
        except PermissionError as error:
            reasons.append(str(error))
            continue
        return Standing(identity, program in closed, closed.get(data.path))
    raise EmbeddedPostgresError(
        'PostgreSQL does not run as root, and root may not become another user here: start as a plain user, or permit'
        f' it (in a container: user namespaces, or the capabilities SETUID, SETGID and CHOWN). {"; ".join(reasons)}'
    )


async def admit(data: DataFolder, standing: Standing, data_is_new: bool) -> None:
    """See that the identity gets into the data folder, and make the store its own.

    Raises EmbeddedPostgresError that names the folder in the way.
    """
    closed = standing.closed_folder
    if closed == data.path and data_is_new:
        closed.chmod(0o711)
    elif closed is not None:
        identity = standing.identity
        raise EmbeddedPostgresError(
            f'PostgreSQL runs as user id {identity.owner} here and cannot pass {closed}: open it (chmod o+x {closed}),'
            ' put `data` elsewhere, or start the server as a plain user'
        )
    wanted = standing.identity.owner
    if data.postgres.exists() and data.postgres.stat().st_uid != wanted:
        await asyncio.to_thread(give_away, data.postgres, standing.identity)
