"""Configuration of several nodes that share the work."""

from typing import Annotated

from smsc.config.kinds import Part, PositiveSeconds, described


class ClusterConfig(Part, frozen=True):
    """Several nodes with the same configuration, one store and one Redis."""

    name: Annotated[
        str, described('what the keys of this cluster in Redis begin with', pattern='^[a-z0-9_-]{1,32}$')
    ] = 'smsc'
    dead_s: Annotated[
        PositiveSeconds,
        described(
            'a node that has shown no sign of life for so long is dead: others take its work over. For half of it one '
            'goes on sending without having shown any. Below 5 one connection to the store that went silent is enough'
        ),
    ] = 8
    try_links_s: Annotated[
        PositiveSeconds,
        described(
            'a node that can bind none of its links of an upstream for so long lets other nodes try them: it may be '
            'cut off from that operator alone'
        ),
    ] = 15
