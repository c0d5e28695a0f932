"""Models that come with the package: a MobileNetV2-style classifier of handwritten digits.

Both take [1, 96, 96, 3] and give ten logits [1, 10]; ``tools/train_digits.py`` makes them.
"""

from __future__ import annotations

from pathlib import Path

DIGITS_FP32 = Path(__file__).with_name("digits-mobilenetv2.fp32.tflite")
"""Float32 input in [-1, 1], float32 logits."""

DIGITS_INT8 = Path(__file__).with_name("digits-mobilenetv2.int8.tflite")
"""The same network, fully quantized: int8 input and logits, weights per output channel."""
