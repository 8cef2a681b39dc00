"""From bytes or rows to SourceRecords. Shared by the sources; no I/O in here."""
