"""What rules are: the language of iptables-save as values."""
