"""`python -m rota`, the same as `rota`."""

from rota.cli.main import main

main()
