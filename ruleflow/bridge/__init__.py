"""What we make: declared bridges and port maps, and the rule sets they need."""
