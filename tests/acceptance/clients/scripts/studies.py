"""Vizier: studies by the client's own classes, and by its generated client what those have no method for."""

from connection import LOCATION, PROJECT, connect, passed, unique
from google.api_core import exceptions
from google.cloud import aiplatform_v1
from google.cloud.aiplatform import initializer, utils
from google.cloud.aiplatform.vizier import Study, pyvizier

connect()
PARENT = f"projects/{initializer.global_config.project or PROJECT}/locations/{LOCATION}"


def value_of(trial):
    given = trial.parameters
    return (given["rate"].value - 0.01) ** 2 + abs(given["layers"].value - 3) + (given["kind"].value != "tanh")


problem = pyvizier.StudyConfig()
root = problem.search_space.select_root()
root.add_float_param("rate", 1e-4, 1.0, scale_type=pyvizier.ScaleType.LOG)
root.add_int_param("layers", 1, 6)
root.add_categorical_param("kind", ["relu", "tanh"])
root.add_discrete_param("width", [8, 16, 64])
problem.metric_information.append(pyvizier.MetricInformation("loss", goal=pyvizier.ObjectiveMetricGoal.MINIMIZE))
name = unique("tuning")
study = Study.create_or_load(display_name=name, problem=problem)
assert Study.create_or_load(display_name=name, problem=problem).resource_name == study.resource_name
assert Study.from_uid(study.name).resource_name == study.resource_name
# Not `study.materialize_study_config()`: it hands its own client an argument that there is none of.
config = pyvizier.StudyConfig.from_proto(study.gca_resource.study_spec)
assert [one.name for one in config.search_space.parameters] == ["rate", "layers", "kind", "width"], config
passed("a study is created, loaded and read")

pair = study.suggest(count=2, worker="first")
assert [trial.uid for trial in pair] == [1, 2], pair
assert [trial.uid for trial in study.suggest(count=2, worker="first")] == [1, 2]
[other] = study.suggest(count=1, worker="second")
assert other.uid == 3
for trial in (*pair, other):
    given = trial.parameters
    assert 1e-4 <= given["rate"].value <= 1 and given["width"].value in (8, 16, 64), given
passed("a worker is given its trials again")

pair[0].add_measurement(pyvizier.Measurement({"loss": 3.0}, elapsed_secs=1.5, steps=1))
pair[0].add_measurement(pyvizier.Measurement({"loss": 2.5}, elapsed_secs=3, steps=2))
assert pair[0].should_stop() is False
assert pair[0].complete().metrics["loss"].value == 2.5
assert [one.steps for one in pair[0].materialize().measurements] == [1, 2]
pair[1].complete(infeasible_reason="it does not fit")
assert pair[1].materialize().infeasibility_reason == "it does not fit"
other.complete(pyvizier.Measurement({"loss": 4.0}))
refusal = None
try:
    other.complete(pyvizier.Measurement({"loss": 1.0}))
except exceptions.GoogleAPICallError as error:
    refusal = error
assert refusal is not None and refusal.code in (400, 409), refusal
passed("trials are measured and completed once")

for _ in range(12):
    [trial] = study.suggest(count=1, worker="first")
    trial.complete(pyvizier.Measurement({"loss": value_of(trial)}))
losses = {}
for trial in study.trials():
    final = trial.materialize().final_measurement
    if final is not None and "loss" in final.metrics:
        losses[trial.uid] = final.metrics["loss"].value
assert len(study.trials()) == 15
[best] = study.optimal_trials()
assert losses[best.uid] == min(losses.values()), (best.uid, losses)
passed("the optimal trial is the best one")

client = initializer.global_config.create_client(client_class=utils.VizierClientWithOverride)
median = client.create_study(
    parent=PARENT,
    study=aiplatform_v1.Study(
        display_name=unique("median"),
        study_spec=aiplatform_v1.StudySpec(
            metrics=[{"metric_id": "accuracy", "goal": "MAXIMIZE"}],
            parameters=[
                {
                    "parameter_id": "model",
                    "categorical_value_spec": {"values": ["tree", "net"], "default_value": "net"},
                    "conditional_parameter_specs": [
                        {
                            "parent_categorical_values": {"values": ["net"]},
                            "parameter_spec": {
                                "parameter_id": "units",
                                "integer_value_spec": {"min_value": 1, "max_value": 64, "default_value": 32},
                            },
                        }
                    ],
                }
            ],
            median_automated_stopping_spec={"use_elapsed_duration": False},
            measurement_selection_type="BEST_MEASUREMENT",
            study_stopping_config={"max_num_trials": 6},
        ),
    ),
)
assert client.get_study(name=median.name).study_spec == median.study_spec
assert client.lookup_study(request={"parent": PARENT, "display_name": median.display_name}).name == median.name
assert median.name in [one.name for one in client.list_studies(parent=PARENT)]


def suggested(count, worker, **more):
    asked = {"parent": median.name, "suggestion_count": count, "client_id": worker, **more}
    return client.suggest_trials(request=asked).result()


def measured(trial, step, value):
    metrics = [{"metric_id": "accuracy", "value": value}]
    client.add_trial_measurement(
        request={"trial_name": trial.name, "measurement": {"step_count": step, "metrics": metrics}}
    )


def named(trial):
    return {one.parameter_id: one.value for one in trial.parameters}


first = suggested(1, "w").trials[0]
assert named(first) == {"model": "net", "units": 32.0}, first
client.complete_trial(request={"name": first.name, "final_measurement": {"metrics": [{"metric_id": "accuracy"}]}})
[tree] = suggested(1, "w", contexts=[{"parameters": [{"parameter_id": "model", "value": "tree"}]}]).trials
assert named(tree) == {"model": "tree"}, tree
passed("defaults come first, contexts are kept, conditions are met")

client.complete_trial(request={"name": tree.name, "trial_infeasible": True})
for level in (0.5, 0.6, 0.7):
    [good] = suggested(1, "w").trials
    for step in (1, 2, 3):
        measured(good, step, level + step / 100)
    done = client.complete_trial(request={"name": good.name})
    assert abs(done.final_measurement.metrics[0].value - level - 0.03) < 1e-9, done
[poor] = suggested(1, "w").trials
measured(poor, 2, 0.1)
assert client.check_trial_early_stopping_state(request={"trial_name": poor.name}).result().should_stop
assert client.get_trial(name=poor.name).state.name == "STOPPING"
client.complete_trial(request={"name": poor.name})
ended = suggested(1, "w")
assert not ended.trials and ended.study_state.name == "COMPLETED", ended
passed("a poor trial is stopped early, and the study ends")

made = client.create_trial(
    parent=study.resource_name,
    trial={
        "parameters": [
            {"parameter_id": "rate", "value": 0.5},
            {"parameter_id": "layers", "value": 2},
            {"parameter_id": "kind", "value": "relu"},
            {"parameter_id": "width", "value": 16},
        ]
    },
)
assert made.state.name == "REQUESTED" and made.id == "16", made
[taken] = study.suggest(count=1, worker="third")
assert taken.uid == 16 and taken.parameters["layers"].value == 2
assert client.stop_trial(request={"name": made.name}).state.name == "STOPPING"
assert taken.should_stop()
taken.delete()
try:
    client.get_trial(name=made.name)
    raise AssertionError("a deleted trial is still there")
except exceptions.NotFound:
    pass
try:
    client.create_study(parent=PARENT, study={"display_name": "bad", "study_spec": {"metrics": [{"metric_id": "a b"}]}})
except exceptions.BadRequest as error:
    refusal = error
assert "metrics[0].metricId" in str(refusal), refusal
passed("trials are asked for, stopped and deleted; what is wrong is refused with its place")

study.delete()
client.delete_study(name=median.name)
try:
    client.get_study(name=study.resource_name)
    raise AssertionError("a deleted study is still there")
except exceptions.NotFound:
    pass
passed("studies are deleted")
