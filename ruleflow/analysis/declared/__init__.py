"""What a rule set declares: the networks, options and published ports that a layout would have turned into its rules.

Nothing here knows how a rule is spelled. A layout is asked to write a network with stand-ins (`written`): what it writes is
the pattern by which its rules are known again, and the options under which it writes it are what the rules say (`read_back`).
Two readings are then compared (`differences`).
"""
