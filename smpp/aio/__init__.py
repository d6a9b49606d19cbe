"""The asyncio shell of a session: sockets, flow control in both directions, listening, connecting and reconnecting."""
