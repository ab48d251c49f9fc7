"""`python -m reidgen` is `reidgen`."""

import sys


def main() -> None:
    """The command line, in which Ctrl-C is one line even while modules are imported."""
    try:
        from reidgen import cli
    except KeyboardInterrupt:
        sys.stderr.write("stopped before anything was done.\n")
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
