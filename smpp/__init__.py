"""One SMPP session, either side: states, window, timers. No I/O and no clock here; `smpp.aio` is the asyncio shell."""
