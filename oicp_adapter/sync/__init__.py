"""The use cases: one cycle, the publisher, reconciliation. They know ports, never concrete adapters."""
