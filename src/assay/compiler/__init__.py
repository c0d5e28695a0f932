"""From a model and a Config to a Build, with TVM."""
