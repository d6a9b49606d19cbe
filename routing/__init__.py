"""Decisions: which route a message takes. Pure, no I/O and no clock on the way of a message."""
