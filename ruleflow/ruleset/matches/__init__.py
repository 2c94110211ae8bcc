"""One class per match extension, a module per family of matches."""
