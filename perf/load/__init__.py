"""A crowd of ESMEs: binds, submits numbered messages within windows or at a rate, and accounts for every one of them.

`python -m perf.load` runs it alone. In a program: `await Load(LoadSettings(...)).run()`.
"""

from perf.load.generator import Load, LoadError
from perf.load.settings import BindKind, Latency, LoadResult, LoadSettings

__all__ = ['BindKind', 'Latency', 'Load', 'LoadError', 'LoadResult', 'LoadSettings']
