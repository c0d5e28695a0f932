"""Labelled data to evaluate models on."""
