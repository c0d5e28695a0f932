"""Networks of common architectures with random weights, as TFLite files.

Speed and agreement do not depend on trained weights, so these stand in for the many networks that
nobody has to hand over: ``python -m benchmarks.architectures --write DIR``.
"""
