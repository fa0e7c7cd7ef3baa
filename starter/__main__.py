"""`python -m starter`: the `journey` command."""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the imports below without a traceback

from starter.cli.app import main  # noqa: E402

if __name__ == "__main__":
    main()
