"""What holds for every test: how long an example of a property takes says nothing about the property."""

from hypothesis import settings

settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")
