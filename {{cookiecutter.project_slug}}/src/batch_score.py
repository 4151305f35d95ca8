"""The scoring script of the batch endpoint, on Azure ML and behind `mlops score`."""

import sys

from modelyard.scoring.batch import init, main, run

__all__ = ["init", "run"]

if __name__ == "__main__":
    sys.exit(main())
