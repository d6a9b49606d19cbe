"""What keeps a node from sending once others may take it for dead."""

FOREVER = float('inf')


class Fence:
    """Until when this node may send, in monotonic seconds; a node of its own may always."""

    __slots__ = ('until',)

    def __init__(self, until: float = FOREVER) -> None:
        self.until = until


OPEN = Fence()
"""For whoever sends on nobody's behalf."""
