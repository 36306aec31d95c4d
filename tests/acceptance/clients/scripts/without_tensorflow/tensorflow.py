"""TensorBoard's own stand-in for the few things of TensorFlow that it and the uploader ask for, under the real name.
TensorFlow itself is half a gigabyte, and nothing of it would be tested here."""

import sys
import types

sys.modules["tensorboard.compat.notf"] = types.ModuleType("notf")  # what TensorBoard does without it

import tensorboard.compat  # noqa: E402
from tensorboard.compat.proto import event_pb2, summary_pb2  # noqa: E402
from tensorboard.compat.tensorflow_stub import compat, io  # noqa: E402

tensorboard.compat.notf = sys.modules["tensorboard.compat.notf"]
compat.v1.Event = event_pb2.Event
compat.v1.Summary = summary_pb2.Summary
compat.v1.SummaryMetadata = summary_pb2.SummaryMetadata
__all__ = ["compat", "io"]
__version__ = "0"
