"""Keeps Hubject holding exactly what a charge point operator's backend says about its EVSEs."""

__version__ = "0.1.0"
