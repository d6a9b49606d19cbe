"""A simulated operator: an SMSC that takes submit_sm, answers as its settings say, and sends receipts and MO messages.

`python -m perf.operator` runs it alone. In a program: `Operator(OperatorSettings(...))`, `await start(host, port)`,
`await stop()`. It keeps nothing on disk, and nothing of what it holds survives it.
"""

from perf.operator.personalities import PERSONALITIES, Personality
from perf.operator.settings import Counters, IdStyle, OperatorSettings
from perf.operator.simulator import Operator

__all__ = ['PERSONALITIES', 'Counters', 'IdStyle', 'Operator', 'OperatorSettings', 'Personality']
