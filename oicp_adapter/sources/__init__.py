"""Readers of operators' backends, one module per source; none knows another."""
