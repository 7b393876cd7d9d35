"""The models of a model host: loaded, swapped, given up; and why one that is wanted isn't there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from olympus.models.llama import LlamaModel
from olympus.models.onnx import OnnxModel
from olympus.models.registry import Registry, StoredModel
from olympus.models.swap import Swappable, self_test
from olympus.nodes.load_marks import LoadMarks
from olympus.runtime.errors import ConfigError, ModelError, did_you_mean

AnyModel = OnnxModel | LlamaModel


class ServedModels:
    """Models by the names in their manifests."""

    def __init__(
        self, host: str, load: Callable[[StoredModel], AnyModel], marks: LoadMarks
    ) -> None:
        """Serve none yet.

        Args:
            host: The model host's name, for errors.
            load: Loads one version of a model, or raises ModelError.
            marks: Remembers which ended the process while they were loaded.
        """
        self._host, self._load, self._marks = host, load, marks
        self._models: dict[str, Swappable[AnyModel]] = {}
        self._broken: dict[str, str] = {}
        self.names: dict[str, str] = {}
        """By what the launch file calls them."""

    def name(self, wanted: str) -> str:
        """Find out what a model is called, by which all else knows it.

        Args:
            wanted: What the launch file calls it: a name, a manifest or its folder.

        Raises:
            ConfigError: Another one is called so.
        """
        name = _name_of(wanted)
        if name in self.names.values():
            raise ConfigError(f"{self._host}: two models are called {name!r}; rename one")
        self.names[wanted] = name
        return name

    def add(self, wanted: str) -> None:
        """Load a model that has a `name`; where that fails, whoever asks for it is told why.

        Raises:
            ModelError: It is changed, damaged, or fails its trial run.
        """
        name = self.names[wanted]
        try:
            with self._marks.loading(name):
                self._models[name] = Swappable(Registry().find(wanted), self._load, self_test)
        except ModelError as error:
            self.give_up(name, str(error))
            raise

    def give_up(self, name: str, why: str) -> None:
        """Serve a model no longer, until the next launch."""
        self._broken[name] = why

    def get(self, name: str) -> AnyModel:
        """Return the version of a model that is in use.

        Raises:
            ModelError: It is not served here; says why.
        """
        return self.swappable(name).current

    def quick(self, name: str) -> OnnxModel | None:
        """Return a tensor model where it is served, else None."""
        if (model := self._models.get(name)) is None or name in self._broken:
            return None
        return found if isinstance(found := model.current, OnnxModel) else None

    def swappable(self, name: str) -> Swappable[AnyModel]:
        """Return a model of which another version may be taken into use.

        Raises:
            ModelError: It is not served here; says why.
        """
        if name in self._broken:
            raise ModelError(self._broken[name])
        if name not in self._models:
            raise ModelError(
                f"{self._host} serves no model {name!r}; {did_you_mean(name, self._models)}"
            )
        return self._models[name]

    def abort(self, name: str, why: str) -> None:
        """Have all runs of a tensor model end."""
        if (model := self._models.get(name)) is not None:
            for version in model.versions():
                if isinstance(version, OnnxModel):
                    version.abort(why)

    def free_retired(self) -> None:
        """Free versions that are out of use once no text of theirs is under way."""
        for model in self._models.values():
            for version in list(model.retired):
                if isinstance(version, LlamaModel):
                    if not version.is_idle:
                        continue
                    version.close()
                model.retired.remove(version)

    def close(self) -> None:
        """Let go of all."""
        for model in self._models.values():
            for version in model.versions():
                if isinstance(version, LlamaModel):
                    version.close()
        self._models.clear()

    def __iter__(self) -> Iterator[str]:
        """Return the names of those that were loaded."""
        return iter(self._models)


def _name_of(wanted: str) -> str:
    """Return a model's name in its manifest; where that can't be read, the end of its path."""
    try:
        return Registry().find(wanted).name
    except ModelError:
        return Path(wanted).name
