"""The function that a library with an ahead-of-time entry exports."""

ENTRY = "assay_entry"
"""Runs one inference; takes the table of addresses."""
