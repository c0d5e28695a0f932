"""What changed from one result to another: how it was built, what came out, time and accuracy."""
