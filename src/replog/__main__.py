"""`python -m replog`: the same command line as `replog`.

SHELL.
"""

from replog.cli.main import main

main()
