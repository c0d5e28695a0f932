"""Remarks: what a build says about its own speed, each with evidence, reason and fix."""
