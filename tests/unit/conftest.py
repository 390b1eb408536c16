"""How properties are tested in this tier: few examples, the same in every run, and no verdict on speed."""

from hypothesis import settings

settings.register_profile("unit", deadline=None, max_examples=60, derandomize=True, database=None)
settings.load_profile("unit")
