"""Steps in containers: which image, which words, and what a lightweight component adds to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from cairn.config.settings import DockerSettings, EnvironmentsSettings
from cairn.engine.ports import ContainerImage, Environment, EnvironmentPlan
from cairn.environments.catalogue import BuiltRecord, Catalogue
from cairn.environments.command_shape import Install
from cairn.environments.container_images import ContainerImages
from cairn.environments.holding import Holding
from cairn.environments.image_building import ENVIRONMENT, ImageBuilder
from cairn.environments.specification import ImageFacts, ImageSpec, UvSpec
from cairn.environments.step_variables import for_container
from cairn.environments.uv_command import Progress
from cairn.errors import UnsupportedFeature
from cairn.spec.types import ContainerSpec

# (packages a component installs, variables that its index URLs may name)
Specify = Callable[[Install, tuple[tuple[str, str], ...]], UvSpec]
_USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ImageEnvironments:
    """The part of the `Environments` port that is about images. Threads: as the port says."""

    def __init__(
        self,
        docker: DockerSettings,
        settings: EnvironmentsSettings,
        catalogue: Catalogue,
        holding: Holding,
        cache: Path,
        specify: Specify,
    ) -> None:
        self.images = ContainerImages(docker)
        self._settings = settings
        self._catalogue = catalogue
        self._holding = holding
        self._builder = ImageBuilder(catalogue, cache, settings, docker, self.images)
        self._specify = specify

    def plan(
        self,
        component: str,
        container: ContainerSpec,
        image: str,
        install: Install,
        words: tuple[str, ...],
        pinned: str = "",
    ) -> EnvironmentPlan:
        """`words`: the command once `install`, where it is of anything, is there. `pinned`: the id that the image had
        when all this was planned first.

        Raises NoContainerEngine; UnsupportedFeature for an image that is not here and shall not be fetched.
        """
        if not image:
            raise UnsupportedFeature("names no container image", place=component)
        if "{{" in image:  # planned again when the step's inputs are known
            self.images.check(component)
            return EnvironmentPlan(component, ImageSpec(image, None), None, executor="docker")
        facts = self.images.find(image, component, pinned)
        if facts is None and pinned:
            raise UnsupportedFeature(
                f"the container engine no longer holds {pinned}, which was {image!r} when the run was planned",
                place=component,
                remedy="start it anew, with the image of that name as it is now",
            )
        if facts is None and self.images.settings.pull == "never":
            raise UnsupportedFeature(
                f"the container engine does not hold image {image!r}, and [docker] pull is never",
                place=component,
                remedy=f"fetch it (`docker pull {image}`), make it (`cairn images build DIR --tag {image}`), or map "
                f"it: --image '{image}=host'",
            )
        command: tuple[str, ...] | None = None
        packages: UvSpec | None = None
        if install != Install():
            command = words
            packages = self._specify(install, tuple(sorted(container.env.items())))
        own_words = 0 if container.command else 1 if container.args else 2
        spec = ImageSpec(image, facts, own_words, packages)
        if facts is not None:
            _check_words(spec, facts, component)
        return EnvironmentPlan(component, spec, None, command=command, executor="docker")

    def find(self, spec: ImageSpec) -> Environment | None:
        facts = spec.facts or self.images.find(spec.name)
        if facts is None:
            return None
        if spec.packages is None:
            return self._environment(spec, facts, None)
        record = self._holding.find(_added_to(facts, spec.packages).key)
        return self._environment(spec, facts, record) if record is not None else None

    def build(self, spec: ImageSpec, component: str, progress: Progress | None) -> Environment:
        facts = spec.facts or self.images.fetch(spec.name, progress)
        _check_words(spec, facts, component)
        if spec.packages is None:
            return self._environment(spec, facts, None)
        packages = _added_to(facts, spec.packages)
        record = self._holding.build(lambda: self._builder.build(packages, facts, progress))
        return self._environment(spec, facts, record)

    def _environment(self, spec: ImageSpec, facts: ImageFacts, record: BuiltRecord | None) -> Environment:
        words = (*facts.entrypoint, *facts.command)[: None if spec.own_words == 2 else len(facts.entrypoint)]
        variables = for_container(self._settings.passed_variables)
        mounts: tuple[tuple[str, str], ...] = ()
        if record is not None:
            path = dict(facts.variables).get("PATH") or _USUAL_PATH
            variables |= {"PATH": f"{ENVIRONMENT}/bin:{path}", "VIRTUAL_ENV": ENVIRONMENT}
            mounts = ((ENVIRONMENT, os.fspath(self._catalogue.directory(record.environment_key))),)
        return Environment(
            key=record.environment_key if record else facts.id,
            variables=variables,
            identity=f"{facts.digest}:{record.environment_key}" if record else facts.digest,
            warnings=record.warnings if record else (),
            image=ContainerImage(
                name=spec.name,
                id=facts.id,
                entrypoint=words if spec.own_words else (),
                working_directory=facts.working_directory,
                mounts=mounts,
            ),
        )


def _added_to(facts: ImageFacts, packages: UvSpec) -> UvSpec:
    # The image's variables, for index URLs that name them: the step's own win.
    return msgspec.structs.replace(packages, image=facts.id, variables=facts.variables + packages.variables)


def _check_words(spec: ImageSpec, facts: ImageFacts, component: str) -> None:
    if spec.own_words == 2 and not facts.entrypoint and not facts.command:
        raise UnsupportedFeature(
            f"names no command, and its image {spec.name!r} has neither ENTRYPOINT nor CMD",
            place=component,
            remedy="give the component a command",
        )
