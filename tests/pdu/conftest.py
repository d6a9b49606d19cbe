"""Generated examples have no deadline of their own: a busy machine is no failure."""

from hypothesis import settings

from tests.examples import USUAL, examples

settings.register_profile('unhurried', deadline=None, max_examples=examples(USUAL))
settings.load_profile('unhurried')
