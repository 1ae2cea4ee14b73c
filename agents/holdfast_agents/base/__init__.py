"""What every agent is made of: the action table, the answers, the runner."""
