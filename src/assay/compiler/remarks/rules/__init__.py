"""One rule a file; ``catalogue`` lists them."""
