"""What a TFLite file must fulfil before anything reads it, one concern a module."""
