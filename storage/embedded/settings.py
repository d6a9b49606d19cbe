"""The settings that the private PostgreSQL runs with, each with its reason, as arguments of `postgres`.

They are passed on the command line, so that no file of the data folder has to be edited and a new release changes them
for existing stores too.
"""

from collections.abc import Mapping
from pathlib import Path

from storage.embedded.errors import EmbeddedPostgresError

PORT = 5432
"""Part of the socket's name only: no port is opened."""

DEFAULTS: Mapping[str, str] = {
    # What is committed is on the disk: the promises of the product stand on these two.
    'fsync': 'on',
    'synchronous_commit': 'on',
    # The live rows of some minutes; what is older is in the page cache of the system.
    'shared_buffers': '128MB',
    # Each node takes a dozen connections, the command line and an operator's psql a few.
    'max_connections': '200',
    # Page images after a checkpoint are most of the write-ahead log, so checkpoints are rare; at the price of up to
    # 4 GB of log on the disk, and a recovery that reads it.
    'max_wal_size': '4GB',
    'checkpoint_timeout': '15min',
    'checkpoint_completion_target': '0.9',
    # What a burst wrote goes to the disk as it comes. Else the system writes it half a minute later, all at once, and
    # commits wait behind it: after a million messages the p99 of a submit was 100 to 170 ms, and is 25 to 31 ms so.
    'backend_flush_after': '256kB',
    # Its CPU time is taken from the traffic.
    'wal_compression': 'off',
    # Nobody replicates from it.
    'wal_level': 'minimal',
    'max_wal_senders': '0',
    'max_logical_replication_workers': '0',
    # Statements are short and many: compiling them costs more than it saves.
    'jit': 'off',
    'autovacuum': 'on',
    # A long query must not take all cores from the traffic, nor fail in a container with its 64 MB of /dev/shm.
    'max_parallel_workers_per_gather': '0',
    'max_parallel_maintenance_workers': '0',
    # Errors without DETAIL, CONTEXT and STATEMENT, which can show numbers and texts of messages.
    'log_error_verbosity': 'terse',
    'log_min_error_statement': 'panic',
    'log_line_prefix': '%m [%p] ',
    'logging_collector': 'off',
    'log_destination': 'stderr',
    'log_timezone': 'UTC',
    'timezone': 'UTC',
    'lc_messages': 'C',
}

IO_METHOD_SINCE = 18
"""Has io_method; reads hardly ever wait here, so `sync` saves three processes and their memory."""

_OURS = frozenset({'listen_addresses', 'unix_socket_directories', 'unix_socket_permissions', 'port', 'data_directory'})


def server_arguments(folder: Path, socket_folder: Path, major: int, settings: Mapping[str, str]) -> list[str]:
    """The arguments of `postgres` for the data in `folder`; `settings` take precedence over the defaults.

    Raises EmbeddedPostgresError for settings that decide who can connect.
    """
    if refused := sorted(_OURS & {name.lower() for name in settings}):
        raise EmbeddedPostgresError(
            f'the private PostgreSQL is reached by its socket folder only: take {", ".join(refused)} out of its'
            ' settings; to share a server with others, name one in store.postgres'
        )
    quoted_folder = '"' + str(socket_folder).replace('"', '""') + '"'
    chosen = {
        'listen_addresses': '',
        'unix_socket_directories': quoted_folder,
        'port': str(PORT),
        **DEFAULTS,
        **({'io_method': 'sync'} if major >= IO_METHOD_SINCE else {}),
        **settings,
    }
    return ['-D', str(folder), *(part for name, value in chosen.items() for part in ('-c', f'{name}={value}'))]
