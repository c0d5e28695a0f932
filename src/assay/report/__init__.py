"""Renders results; computes nothing new, runs nothing."""
