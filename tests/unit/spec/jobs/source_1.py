"""`python source_1.py`, where google-cloud-pipeline-components 1 and kfp 1.8 are installed, writes launched_1.json and
executors_1.json anew."""

from pathlib import Path

from google_cloud_pipeline_components.v1.custom_job import create_custom_training_job_from_component
from kfp import components
from kfp.v2 import compiler, dsl
from kfp.v2.google.experimental import run_as_aiplatform_custom_job

HERE = Path(__file__).parent
train = components.load_component_from_file(str(HERE / "component.yaml"))
launch = create_custom_training_job_from_component(
    train, machine_type="n1-standard-8", accelerator_type="NVIDIA_TESLA_T4", accelerator_count=1
)


def imported():
    return dsl.importer(artifact_uri="gs://bucket/data", artifact_class=dsl.Dataset).output


@dsl.pipeline(name="launched", pipeline_root="gs://bucket/root")
def launched(max_epochs: int = 3):
    launch(data_dir=imported(), max_epochs=max_epochs, project="p", location="us-central1")


@dsl.pipeline(name="executors", pipeline_root="gs://bucket/root")
def executors(max_epochs: int = 3):
    data = imported()
    run_as_aiplatform_custom_job(train(data_dir=data, max_epochs=max_epochs))
    run_as_aiplatform_custom_job(
        train(data_dir=data, max_epochs=max_epochs), display_name="shown", machine_type="n1-standard-8",
        accelerator_type="NVIDIA_TESLA_T4", accelerator_count=1, boot_disk_type="pd-standard", boot_disk_size_gb=200,
        timeout="3600s", restart_job_on_worker_restart=True, service_account="robot@project",
        network="projects/1/global/networks/n", output_uri_prefix="gs://bucket/out",
    )  # fmt: skip


@dsl.pipeline(name="replicas", pipeline_root="gs://bucket/root")
def replicas(max_epochs: int = 3):
    run_as_aiplatform_custom_job(train(data_dir=imported(), max_epochs=max_epochs), replica_count=3)


for name in ("launched", "executors", "replicas"):
    compiler.Compiler().compile(globals()[name], str(HERE / f"{name}_1.json"))
