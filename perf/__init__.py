"""Both ends of the product, simulated, and the scenarios that measure it between them.

`perf.operator` is an SMSC that answers submit_sm and sends receipts; the server's built-in operator is one of it.
`perf.load` is a crowd of ESMEs that counts what became of every message. `perf.bench` starts the server between the two
as separate processes; `perf.roundtrip` and the modules beside it are scenarios on that bench. Everything stays on
127.0.0.1.
"""
