"""``python -m ruleflow``."""

from ruleflow.cli import main

main()
