"""`python -m mlops` is the `mlops` command."""

from modelyard.cli import main

if __name__ == "__main__":
    main()
