"""Facts about the machine, and times taken on it."""
