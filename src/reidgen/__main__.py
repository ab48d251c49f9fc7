"""`python -m reidgen` is `reidgen`."""

from reidgen.cli import main

if __name__ == "__main__":
    main()
