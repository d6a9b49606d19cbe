"""SMPP 3.4 and 5.0 on the wire: octets to PDUs and back, TLVs, text alphabets, segments, times, receipt text.

No I/O and no clock: every function takes octets, text or `now` and returns a value. What is wrong with octets that came
from a peer is a `status.PduError`, which says the command_status to answer with; nothing else is raised for them.
"""
