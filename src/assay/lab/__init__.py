"""The experiments: which, how they run, what they found."""
