"""The functions that a library with an ahead-of-time entry exports."""

ENTRY = "assay_entry"
"""Runs one inference; takes the table of addresses."""

CONSTANTS = "assay_constants"
"""The virtual machine's function that returns the plan's constants as a tuple."""
