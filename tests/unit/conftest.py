"""How properties are tested in this tier: few examples, and no verdict on speed."""

from hypothesis import settings

settings.register_profile("unit", deadline=None, max_examples=60)
settings.load_profile("unit")
