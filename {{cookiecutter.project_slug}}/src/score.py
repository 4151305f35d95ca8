"""The scoring script of the online endpoint, on Azure ML and behind `mlops serve`."""

from modelyard.serving.online import init, run

__all__ = ["init", "run"]
