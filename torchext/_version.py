"""The version, stated once; setup reads it from here."""

__version__ = "0.1.0"
