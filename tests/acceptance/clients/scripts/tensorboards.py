"""TensorBoard: experiments with time series, the client's own classes, and its uploader where TensorBoard is."""

import importlib.util
import os
import sys

from connection import LOCATION, connect, passed, raises, unique, until
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform import initializer

# Without a Tensorboard of one's own the project's default one is looked for, and made.
NAME = unique("board")
connect(experiment=NAME)
aiplatform.start_run("first")
for step in range(1, 6):
    aiplatform.log_time_series_metrics({"loss": 1 / step, "accuracy": step / 10}, step=step)
aiplatform.log_time_series_metrics({"loss": 0.125})  # the step after the last one
aiplatform.log_params({"rate": 0.1})
aiplatform.log_metrics({"final": 0.9})
aiplatform.end_run()
[default] = aiplatform.Tensorboard.list(filter="is_default=true")
passed("metrics are logged to the default Tensorboard")

frame = aiplatform.get_experiment_df(NAME, include_time_series=True)
[row] = frame.to_dict("records")
assert row["time_series_metric.loss"] == 0.125 and row["time_series_metric.accuracy"] == 0.5, row
assert row["param.rate"] == 0.1 and row["metric.final"] == 0.9, row
series = aiplatform.ExperimentRun("first", experiment=NAME).get_time_series_data_frame()
assert list(series["step"]) == [1, 2, 3, 4, 5, 6], series
assert list(series["loss"]) == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 0.125], series
passed("the data frames equal what was logged")

board = aiplatform.Tensorboard.create(display_name=NAME, description="mine", labels={"team": "a"})
assert board.display_name == NAME and board.gca_resource.labels["team"] == "a"
board.update(display_name=f"{NAME}-2", description="ours")
again = aiplatform.Tensorboard(board.resource_name)
assert (again.display_name, again.gca_resource.description) == (f"{NAME}-2", "ours")
assert [one.name for one in aiplatform.Tensorboard.list(filter=f'display_name="{NAME}-2"')] == [board.name]
experiment = aiplatform.TensorboardExperiment.create("exp", tensorboard_name=board.name, display_name="Exp")
run = aiplatform.TensorboardRun.create(
    "run-1", tensorboard_experiment_name=experiment.resource_name, display_name="Run", labels={"a": "b"}
)
made = run.create_tensorboard_time_series("loss")
with raises(exceptions.ClientError, "already exist"):
    run.create_tensorboard_time_series("loss")
run.write_tensorboard_scalar_data({"loss": 0.5}, step=3)
run.write_tensorboard_scalar_data({"loss": 0.25}, step=3)  # the same step: written over
[point] = run.read_time_series_data()["loss"].values
assert (point.step, point.scalar.value) == (3, 0.25), point
found = aiplatform.TensorboardTimeSeries.list(tensorboard_run_name=run.resource_name, filter='display_name="loss"')
assert [one.resource_name for one in found] == [made.resource_name]
assert found[0].gca_resource.metadata.max_step == 3
runs = aiplatform.TensorboardRun.list(tensorboard_experiment_name=experiment.resource_name)
assert [one.display_name for one in runs] == ["Run"]
passed("Tensorboards, experiments, runs and time series are made, changed, listed")

if importlib.util.find_spec("tensorboard"):
    # The uploader asks for TensorFlow's file system; TensorBoard has a stand-in for it, of which this makes the module.
    stand_in = os.path.join(os.path.dirname(os.path.abspath(__file__)), "without_tensorflow")
    sys.path.insert(0, stand_in)
    logs = os.environ["EVENT_FILES"]
    name = unique("upload")
    for _ in range(2 if initializer.global_config._api_transport != "rest" else 1):
        aiplatform.upload_tb_log(tensorboard_id=board.name, tensorboard_experiment_name=name, logdir=logs)
    parent = f"{board.resource_name}/experiments/{name}"
    held = {
        one.display_name: one.read_time_series_data()
        for one in aiplatform.TensorboardRun.list(tensorboard_experiment_name=parent)
    }
    assert set(held) == {"tb2", "torch", "x"}, set(held)
    assert [one.scalar.value for one in held["torch"]["new"].values] == [0, 2, 4, 6]
    assert len(held["tb2"]["hist"].values) == 1 and held["tb2"]["hist"].values[0].tensor.value
    live = unique("live")
    aiplatform.start_upload_tb_log(tensorboard_id=board.name, tensorboard_experiment_name=live, logdir=logs)
    parent = f"{board.resource_name}/experiments/{live}"

    def there():
        try:
            return len(aiplatform.TensorboardRun.list(tensorboard_experiment_name=parent)) == 3
        except exceptions.NotFound:  # the uploader makes the experiment with its first run
            return False

    try:
        until(there)
    finally:
        aiplatform.end_upload_tb_log()
    passed("a directory is uploaded, twice, and while it is written")

assert LOCATION in board.resource_name
board.delete()
with raises(exceptions.NotFound):
    aiplatform.TensorboardTimeSeries(made.resource_name)
passed("what is deleted is gone, with what is below")
