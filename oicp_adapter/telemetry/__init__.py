"""What the operator sees: log events by catalogue."""
