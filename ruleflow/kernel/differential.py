"""Random rule sets and packets against the kernel (in work by the helper "differential" from 06:17; the walk's author: leave it to him)."""
