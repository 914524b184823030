"""`python -m bot` is the same as `umbra`."""

from bot.cli import main

main()
