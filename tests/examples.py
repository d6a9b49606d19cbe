"""How many examples a property is tried with: `SMSC_EXAMPLES=9 bin/test --no-checks tests/routing` tries 9 times that.

The suite tries fewer than a change of the code in question deserves, as it runs after every other change, too.
"""

import os

FACTOR = float(os.environ.get('SMSC_EXAMPLES', '1'))
USUAL = 40


def examples(count: int) -> int:
    """`count` in the suite, as many times more as the environment says."""
    return max(1, round(count * FACTOR))
