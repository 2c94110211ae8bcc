"""What the kernel does with rules: packets, hosts, the packet path, the walk."""
