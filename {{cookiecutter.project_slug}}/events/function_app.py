"""The function app. Its triggers come with modelyard; jobs are started from the copy of this project beside it."""

from pathlib import Path

from modelyard.events.triggers import function_app

app = function_app(Path(__file__).parent / "project")
