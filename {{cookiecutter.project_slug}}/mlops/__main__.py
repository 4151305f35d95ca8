"""`python -m mlops` is the `mlops` command."""

from .cli import main

if __name__ == "__main__":
    main()
