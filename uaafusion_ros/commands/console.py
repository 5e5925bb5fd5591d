"""Where commands talk to a person: the terminal's second stream; results go to the first."""

from rich.console import Console

console = Console(stderr=True, highlight=False)
