"""The verbs: parse, print, exit code. No logic."""
