"""`python -m modelyard`, the same as the command `mlops`."""

from modelyard.cli import main

if __name__ == "__main__":
    main()
