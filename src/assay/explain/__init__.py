"""Remarks joined with measured times: what each of them costs, and what a fix achieves."""
