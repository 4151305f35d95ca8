"""What all tests share."""

from hypothesis import settings

# The same examples in every run: a red build is about the change, not about luck.
settings.register_profile("project", deadline=None, derandomize=True, database=None)
settings.load_profile("project")
