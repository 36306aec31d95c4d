"""Secrets, config maps, volumes and field paths; what is only warned about."""

from typing import List, NamedTuple

from kfp import dsl, kubernetes


@dsl.component
def show(names: List[str], files: List[str]) -> List[str]:
    import os

    return [os.environ.get(name, "<unset>") for name in names] + [
        open(path).read() if os.path.exists(path) else "<missing>" for path in files
    ]


class SecretsOutputs(NamedTuple):
    seen: List[str]
    optional: List[str]


@dsl.pipeline
def secrets_and_config_maps(secret: str = "credentials") -> SecretsOutputs:
    task = show(names=["USER_NAME", "PASSWORD", "COLOUR"], files=["/mnt/secret/password", "/mnt/config/colour"])
    kubernetes.use_secret_as_env(
        task, secret_name=secret, secret_key_to_env={"user": "USER_NAME", "password": "PASSWORD"}
    )
    kubernetes.use_config_map_as_env(task, config_map_name="paint", config_map_key_to_env={"colour": "COLOUR"})
    kubernetes.use_secret_as_volume(task, secret_name="credentials", mount_path="/mnt/secret")
    kubernetes.use_config_map_as_volume(task, config_map_name="paint", mount_path="/mnt/config")
    optional = show(names=["NOTHING"], files=["/mnt/absent/key"])
    kubernetes.use_secret_as_env(optional, secret_name="absent", secret_key_to_env={"key": "NOTHING"}, optional=True)
    kubernetes.use_secret_as_volume(optional, secret_name="absent", mount_path="/mnt/absent", optional=True)
    return SecretsOutputs(task.output, optional.output)


@dsl.pipeline
def secret_missing():
    task = show(names=["KEY"], files=[])
    kubernetes.use_secret_as_env(task, secret_name="not-there", secret_key_to_env={"key": "KEY"})


@dsl.component
def put(path: str, text: str):
    with open(path, "w") as file:
        file.write(text)


@dsl.component
def get(path: str) -> str:
    with open(path) as file:
        return file.read()


@dsl.component
def scratch(path: str) -> str:
    import os

    before = os.listdir(path)
    with open(os.path.join(path, "file"), "w") as file:
        file.write("scratch")
    return f"{before} {os.listdir(path)}"


class VolumesOutputs(NamedTuple):
    text: str
    scratch: List[str]


@dsl.pipeline
def volumes(name: str = "shared-data") -> VolumesOutputs:
    written = put(path="/mnt/shared/note", text="through a volume")
    kubernetes.mount_pvc(written, pvc_name=name, mount_path="/mnt/shared")
    read = get(path="/elsewhere/note").after(written)
    kubernetes.mount_pvc(read, pvc_name=name, mount_path="/elsewhere")
    with dsl.ParallelFor([0, 1]) as item:
        used = scratch(path="/mnt/scratch")
        kubernetes.empty_dir_mount(used, volume_name="scratch", mount_path="/mnt/scratch", size_limit="1Gi")
    return VolumesOutputs(read.output, dsl.Collected(used.output))


@dsl.pipeline
def claims() -> str:
    claim = kubernetes.CreatePVC(
        pvc_name="made-here", access_modes=["ReadWriteOnce"], size="1Gi", storage_class_name="x"
    )
    written = put(path="/mnt/claim/note", text="through a claim")
    kubernetes.mount_pvc(written, pvc_name=claim.outputs["name"], mount_path="/mnt/claim")
    read = get(path="/mnt/claim/note").after(written)
    kubernetes.mount_pvc(read, pvc_name=claim.outputs["name"], mount_path="/mnt/claim")
    kubernetes.DeletePVC(pvc_name=claim.outputs["name"]).after(read)
    return read.output


@dsl.pipeline
def warned_about() -> List[str]:
    task = show(names=["POD_NAME", "NAMESPACE"], files=[])
    kubernetes.use_field_path_as_env(task, env_name="POD_NAME", field_path="metadata.name")
    kubernetes.use_field_path_as_env(task, env_name="NAMESPACE", field_path="metadata.namespace")
    kubernetes.add_node_selector(task, label_key="disk", label_value="ssd")
    kubernetes.add_toleration(task, key="k", operator="Exists", effect="NoSchedule")
    kubernetes.add_pod_label(task, "team", "a")
    kubernetes.add_pod_annotation(task, "note", "b")
    kubernetes.set_image_pull_policy(task, "Always")
    kubernetes.set_image_pull_secrets(task, ["registry"])
    kubernetes.add_node_affinity(task, match_expressions=[{"key": "a", "operator": "In", "values": ["b"]}])
    return task.output
