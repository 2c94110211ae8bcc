"""One class per target extension, a module per family of targets."""
