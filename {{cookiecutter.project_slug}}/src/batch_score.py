"""What the batch endpoint on Azure ML calls, and `mlops score` on a laptop."""

import sys

from modelyard.scoring.batch import init, main, run

__all__ = ["init", "run"]

if __name__ == "__main__":
    sys.exit(main())
