"""What rules mean: explanations, differences, findings, reachability."""
