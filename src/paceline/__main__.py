"""`python -m paceline`: the command line."""

from paceline.project.cli import main

main()
