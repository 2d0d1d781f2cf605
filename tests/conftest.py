"""What holds for all tests."""

from hypothesis import settings

# Speed is measured by benchmarks, never asserted: a busy machine made tests fail by hypothesis' deadline.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
