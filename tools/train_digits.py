"""Train the demo's digit classifier and write its FP32 and INT8 .tflite files.

    python -m venv build/train
    build/train/bin/pip install tensorflow-cpu==2.21.0 ai-edge-litert==2.3.0 tflite==2.18.0 \
        scikit-learn==1.9.1 pillow==13.0.0
    PYTHONPATH=src build/train/bin/python tools/train_digits.py

TensorFlow serves this script alone, so it is no dependency of the package. One thread and fixed
seeds: a run takes a few minutes and repeats to the byte on one machine; another kind of CPU may
round differently and end in other weights.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import tensorflow as tf
import tflite
from ai_edge_litert.interpreter import Interpreter
from keras import Model, layers, losses, optimizers, utils

from assay.data import DIGITS_FP32, DIGITS_INT8
from assay.datasets.digits import SIZE, Digits

SEED = 7
BATCH = 32
EPOCHS = 25
PEAK_LEARNING_RATE = 3e-3
CALIBRATION_IMAGES = 200
BACKGROUND = -1.0
INPUT_SHAPE = (1, SIZE, SIZE, 3)
OUTPUT_SHAPE = (1, 10)
MAX_BYTES = {DIGITS_FP32: 2_200_000, DIGITS_INT8: 700_000}
MIN_ACCURACY = 0.97
MAX_INT8_LOSS = 0.01
OPERATORS = {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED"}

STEM_CHANNELS = 16
# (expansion, channels, blocks, stride of the first block), as in table 2 of the MobileNetV2 paper
# (arXiv:1801.04381). Spatial sizes: 48, 24, 12, 6, 3.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 40, 2, 2), (6, 56, 3, 2), (6, 80, 2, 2))
HEAD_CHANNELS = 256
HIDDEN_UNITS = 64


def main() -> None:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    utils.set_random_seed(SEED)

    images, labels = as_arrays(Digits("train"))
    network = mobilenet_v2()
    train(network, images, labels)

    DIGITS_FP32.write_bytes(converter(network).convert())
    DIGITS_INT8.write_bytes(int8_converter(network, images[:CALIBRATION_IMAGES]).convert())

    test = as_arrays(Digits("test"))
    accuracy = {path: litert_accuracy(path, *test) for path in MAX_BYTES}
    faults = [fault for path in MAX_BYTES for fault in check_graph(path)]
    for path, value in accuracy.items():
        print(f"{path.name}: {path.stat().st_size:,} bytes, test accuracy {value:.4f}")
    if accuracy[DIGITS_FP32] < MIN_ACCURACY:
        faults.append(f"FP32 accuracy is below {MIN_ACCURACY}")
    if accuracy[DIGITS_FP32] - accuracy[DIGITS_INT8] > MAX_INT8_LOSS:
        faults.append(f"INT8 loses more than {MAX_INT8_LOSS} of accuracy")
    if faults:
        sys.exit("\n".join(faults))


def as_arrays(digits: Digits) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 [samples, 96, 96, 3] and int64 [samples]."""
    examples = [digits[index] for index in range(len(digits))]
    return np.stack([e.data for e in examples]), np.array([e.label for e in examples])


def mobilenet_v2(batch: int | None = None) -> Model:
    """Build the network for float32 [batch, 96, 96, 3]; layer names end up in the .tflite file."""
    image = layers.Input(batch_shape=(batch, *INPUT_SHAPE[1:]), name="image")
    x = conv(image, "stem", STEM_CHANNELS, kernel=3, stride=2)
    for stage, (expansion, channels, blocks, stride) in enumerate(STAGES, start=1):
        for block in range(1, blocks + 1):
            name = f"stage{stage}_block{block}"
            x = inverted_residual(x, name, expansion, channels, stride if block == 1 else 1)
    x = conv(x, "head", HEAD_CHANNELS, kernel=1)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2)(x)
    x = layers.Dense(HIDDEN_UNITS, activation="relu", name="hidden")(x)
    return Model(image, layers.Dense(OUTPUT_SHAPE[1], name="logits")(x), name="digits")


def inverted_residual(x, name: str, expansion: int, channels: int, stride: int):
    inputs = x
    if expansion > 1:
        x = conv(x, f"{name}_expand", expansion * x.shape[-1], kernel=1)
    depthwise = f"{name}_depthwise"
    x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False, name=depthwise)(x)
    x = layers.ReLU(6.0, name=f"{depthwise}_relu6")(batch_norm(x, depthwise))
    x = conv(x, f"{name}_project", channels, kernel=1, relu6=False)
    return layers.Add(name=f"{name}_add")([inputs, x]) if inputs.shape == x.shape else x


def conv(x, name: str, channels: int, *, kernel: int, stride: int = 1, relu6: bool = True):
    x = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=name)(x)
    x = batch_norm(x, name)
    return layers.ReLU(6.0, name=f"{name}_relu6")(x) if relu6 else x


def batch_norm(x, name: str):
    # Keras' default momentum of 0.99 needs thousands of steps to forget its start; there are 1,000.
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)


def train(network: Model, images: np.ndarray, labels: np.ndarray) -> None:
    fill = {"fill_mode": "constant", "fill_value": BACKGROUND}
    augment = (
        layers.RandomRotation(0.03, seed=SEED, **fill),
        layers.RandomZoom(0.1, seed=SEED + 1, **fill),
        layers.RandomTranslation(0.08, 0.08, seed=SEED + 2, **fill),
    )

    def augmented(batch, target):
        for layer in augment:
            batch = layer(batch, training=True)
        return batch, target

    data = tf.data.Dataset.from_tensor_slices((images, labels))
    data = data.shuffle(len(images), seed=SEED).batch(BATCH, drop_remainder=True).map(augmented)
    schedule = optimizers.schedules.CosineDecay(
        initial_learning_rate=PEAK_LEARNING_RATE / 10,
        warmup_target=PEAK_LEARNING_RATE,
        warmup_steps=len(data),
        decay_steps=(EPOCHS - 1) * len(data),
    )
    network.compile(
        optimizer=optimizers.Adam(schedule),
        loss=losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    network.fit(data, epochs=EPOCHS, verbose=2)


def converter(network: Model) -> tf.lite.TFLiteConverter:
    """Return a converter of the inference graph with its batch fixed to one."""
    fixed = mobilenet_v2(batch=INPUT_SHAPE[0])
    fixed.set_weights(network.get_weights())
    return tf.lite.TFLiteConverter.from_keras_model(fixed)


def int8_converter(network: Model, calibration: np.ndarray) -> tf.lite.TFLiteConverter:
    """Return a converter to int8 in and out; the ranges are those seen on ``calibration``."""
    result = converter(network)
    result.optimizations = [tf.lite.Optimize.DEFAULT]
    result.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    result.inference_input_type = result.inference_output_type = tf.int8
    result.representative_dataset = lambda: ([image[None]] for image in calibration)
    return result


def litert_accuracy(path: Path, images: np.ndarray, labels: np.ndarray) -> float:
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = source["quantization"]
    if source["dtype"] == np.int8:
        images = np.clip(np.rint(images / scale) + zero_point, -128, 127).astype(np.int8)
    correct = 0
    for image, label in zip(images, labels, strict=True):
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        correct += int(interpreter.get_tensor(sink["index"]).argmax() == label)
    return correct / len(labels)


def check_graph(path: Path) -> list[str]:
    """Print the operators of the file; return what is wrong with it."""
    content = path.read_bytes()
    model = tflite.Model.GetRootAs(content)
    graph = model.Subgraphs(0)
    codes = [
        tflite.opcode2name(model.OperatorCodes(graph.Operators(i).OpcodeIndex()).BuiltinCode())
        for i in range(graph.OperatorsLength())
    ]
    print(f"{path.name}: {dict(Counter(codes))}")
    borders = {
        "inputs": [tuple(graph.Tensors(i).ShapeAsNumpy()) for i in graph.InputsAsNumpy()],
        "outputs": [tuple(graph.Tensors(i).ShapeAsNumpy()) for i in graph.OutputsAsNumpy()],
    }
    faults = []
    if set(codes) != OPERATORS:
        faults.append(f"{path.name}: operators differ from the expected: {set(codes) ^ OPERATORS}")
    if borders != {"inputs": [INPUT_SHAPE], "outputs": [OUTPUT_SHAPE]}:
        faults.append(f"{path.name}: unexpected shapes: {borders}")
    if len(content) > MAX_BYTES[path]:
        faults.append(f"{path.name}: {len(content):,} bytes, more than {MAX_BYTES[path]:,}")
    return faults


if __name__ == "__main__":
    main()
