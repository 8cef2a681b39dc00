"""What Hubject is known to hold, kept through crashes: SQLite by default, in memory for tests and dry runs."""
