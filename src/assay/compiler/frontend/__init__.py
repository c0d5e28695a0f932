"""From a model file to a Relax module with its weights as constants."""
