"""The functions of a library with an ahead-of-time entry."""

ENTRY = "assay_entry"
"""Exported. Runs one inference; takes the table of addresses."""

BARE = "_bare"
"""Ends the names of kernels' functions that the entry calls; no symbols outside of the library."""
