"""Whatever runs a model, behind one Protocol."""
