"""Becomes a program of PostgreSQL: takes on an identity, ties its life to its parent's, then replaces itself.

A script, started by its path with `python -I -S`, because the three steps must be taken in the new process and calling
Python between fork and exec is not safe beside threads. It imports next to nothing: it is part of each start.

    child.py PARENT SIGNAL IDENTITY PROGRAM ARGUMENT...
    child.py PARENT SIGNAL IDENTITY reach PATH...

PARENT is the process id whose death sends SIGNAL (a number). IDENTITY is `same`, `namespace:UID:GID` (a user namespace
in which this user is seen as UID) or `account:UID:GID` (that user, for good). `reach` prints, for each PATH that cannot
be entered or executed, a line with the path, a tab, and the first part of it that is closed.

Leaves exit status 125 and the reason on stderr when the identity is not permitted here, 126 when the program cannot be
executed; otherwise what the program leaves.
"""

import ctypes
import os
import sys

NOT_PERMITTED = 125
NOT_EXECUTABLE = 126

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def main(parent: int, death_signal: int, identity: str, program: list[str]) -> int:
    """Do what the module says; returns only when there is no program to become."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        take_identity(libc, identity)
    except OSError as error:
        sys.stderr.write(f'{identity}: {error}\n')
        return NOT_PERMITTED
    # After the identity: the kernel forgets the wish when the user changes.
    libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        return NOT_EXECUTABLE  # it died before it could be followed
    os.umask(0o077)
    if program[0] == 'reach':
        return report_closed(program[1:])
    try:
        os.execv(program[0], program)
    except OSError as error:
        sys.stderr.write(f'{program[0]}: {error.strerror}\n')
        return NOT_EXECUTABLE


def take_identity(libc: ctypes.CDLL, identity: str) -> None:
    """Become the user that `identity` names; raises OSError when the system does not permit it."""
    kind, *numbers = identity.split(':')
    if kind == 'same':
        return
    uid, gid = map(int, numbers)
    if kind == 'account':
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        return
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), 'unshare: ' + os.strerror(ctypes.get_errno()))
    write('/proc/self/setgroups', 'deny')
    write('/proc/self/uid_map', f'{uid} {outer_uid} 1')
    write('/proc/self/gid_map', f'{gid} {outer_gid} 1')


def write(path: str, text: str) -> None:
    """Write what the kernel takes in a single write only."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode('ascii'))
    finally:
        os.close(descriptor)


def report_closed(paths: list[str]) -> int:
    """Print the paths that this identity cannot enter or execute."""
    for path in paths:
        parts = path.split('/')
        for count in range(2, len(parts) + 1):
            part = '/'.join(parts[:count])
            if not os.access(part, os.X_OK):
                sys.stdout.write(f'{path}\t{part}\n')
                break
    return 0


if __name__ == '__main__':
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]))
