"""From a TFLite file to a Relax module with its weights as constants."""
