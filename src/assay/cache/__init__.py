"""Builds kept by their content: the same model, choices, machine and compiler are built once."""
