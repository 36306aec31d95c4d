from pathlib import Path

from kfp import dsl

import cairn.hydra

HERE = Path(__file__).parent

prepare = cairn.hydra.component(
    "prepare.py", name="prepare", image="acme/prepare:1",
    inputs=[{"+count": int, "+steps": list}], output_artifacts={"+out": dsl.Dataset},
    directory=str(HERE),
)  # fmt: skip
train = cairn.hydra.component(
    "train/main.py", name="train", image="acme/train:1",
    inputs=["train.lr", "train.big", cairn.hydra.Key("train.name", name="label"), "model.layers", "model.names"],
    input_artifacts={"data.dir": dsl.Dataset},
    output_artifacts={"out.model": dsl.Model, "out.metrics": dsl.Metrics}, output_parameters={"out.accuracy": float},
    directory=str(HERE / "train"),
)  # fmt: skip


@dsl.pipeline(name="hydra-project")
def pipeline(lr: float = 0.5, label: str = "${lr} 'é'", long: str = "") -> float:
    steps = [{"_target_": "__main__.scaled", "by": 2}, {"_target_": "__main__.upto", "most": 10}]
    data = prepare(count=8, steps=steps).output
    train(data_dir=data, label=long).set_display_name("long")
    names = {"b": 1.0, "lr": lr, "{{": [label, f"is {label}", None]}
    trained = train(train_lr=lr, train_big=2**60, label=label, model_names=names, data_dir=data)
    return trained.outputs["out_accuracy"]
