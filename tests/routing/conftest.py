"""Generated examples have no deadline of their own: a busy machine is no failure."""

from hypothesis import settings

settings.register_profile('unhurried', deadline=None)
settings.load_profile('unhurried')
