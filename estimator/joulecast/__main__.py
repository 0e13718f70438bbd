"""``python -m joulecast``: the same as the command ``joulecast``."""

from joulecast.cli import main

if __name__ == "__main__":
    main()
