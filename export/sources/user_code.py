"""`--code FILE.py`: definitions of a user's own layers, run with the user's modules in view and ours out of it.

A user's project may well have a package called `models` or `app`, as we have. Ours stand aside in sys.modules while
FILE runs, and again whenever the user's modules import something later, as in a layer's call().
"""

from __future__ import annotations

import builtins
import contextlib
import importlib.util
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from export.errors import UsageError

ROOT = str(Path(__file__).resolve().parents[2])
OURS = ("app", "artifact", "bench", "deploy", "export", "models")
INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))


class Definitions:
    """What FILE.py defines, by name. Raises UsageError where it is no Python file or fails."""

    def __init__(self, file: Path) -> None:
        self.file = file
        name = f"definitions_{file.stem}"
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None or not file.is_file():
            raise UsageError(f"--code {file}: give a Python file (.py) that defines the model's own layers")
        module = importlib.util.module_from_spec(spec)
        before = sys.modules.get(name)
        sys.modules[name] = module  # dataclasses and pickles look their module up
        try:
            view = _View(file.resolve().parent)
            with view.open():
                view.run(spec.loader, module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            if before is not None:
                sys.modules[name] = before
            raise UsageError(f"--code {file} fails: {type(error).__name__}: {error}") from error
        self.names = {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")}

    def scope(self) -> AbstractContextManager[Any]:
        """Inside it Keras finds the definitions when it loads a model."""
        scope: AbstractContextManager[Any] = keras.saving.custom_object_scope(self.names)
        return scope


class _View:
    """sys.modules and sys.path as the user's own process would have them, and ours kept meanwhile.

    The user's modules get an `import` of their own, which opens the view for itself. Only those packages of ours are
    set aside that the user has, too: a definition that imports our layers finds the ones that Keras has registered.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._path = [self._folder]
        """What comes before the rest of sys.path."""
        self._theirs: dict[str, ModuleType] = {}
        self._ours: dict[str, ModuleType] = {}
        self._aside: set[str] = set()
        """Packages that are the user's while the view is open."""
        self._lock = threading.RLock()
        self._builtins = {**vars(builtins), "__import__": self._import}

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        with self._lock:
            if self in sys.meta_path:  # this thread's, since it holds the lock
                yield
                return
            before = list(sys.path)
            sys.path[:] = [*self._path, *before]
            sys.meta_path.insert(0, self)
            try:
                for package in OURS:
                    self._set_aside(package)
                yield
            finally:
                sys.meta_path.remove(self)
                added = (entry for entry in sys.path if entry == self._folder or entry not in before)
                self._path = list(dict.fromkeys(added))
                sys.path[:] = before
                self._theirs = _take(self._aside)
                sys.modules.update(self._ours)
                self._ours, self._aside = {}, set()

    def _set_aside(self, package: str) -> None:
        """Bring the user's package of this name into view, where there is one."""
        if package in self._aside or package not in OURS or _find_theirs(package) is None:
            return
        self._aside.add(package)
        self._ours.update(_take({package}))
        sys.modules.update({name: module for name, module in self._theirs.items() if _package(name) == package})

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """`import` in the user's modules."""
        if level == 0 and name in sys.modules and _package(name) not in OURS:
            return builtins.__import__(name, globals, locals, fromlist)
        with self.open():
            if level == 0:
                self._set_aside(_package(name))  # FILE may have added to sys.path
            return builtins.__import__(name, globals, locals, fromlist, level)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The user's modules, loaded with our `import` in them; what is installed, and ours, are left to others."""
        top = path is None and name in OURS
        spec = _find_theirs(name) if top else PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader) and _is_users(Path(spec.loader.path)):
            spec.loader = _Loader(spec.loader.name, spec.loader.path, self)
            return spec
        return spec if top else None

    def run(self, loader: Any, module: ModuleType) -> None:
        vars(module)["__builtins__"] = self._builtins  # functions take their `import` from here
        loader.exec_module(module)


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, view: _View) -> None:
        super().__init__(name, path)
        self._view = view

    def exec_module(self, module: ModuleType) -> None:
        self._view.run(super(), module)


def _find_theirs(package: str) -> ModuleSpec | None:
    """Where the user's package of this name lies: on sys.path, but not beside ours.

    Nor inside an installed package that has put its own folder there, as onnxruntime.transformers does, with `models`.
    """
    places = [entry for entry in sys.path if os.path.realpath(entry) != ROOT and not _inside_installed(entry)]
    return PathFinder.find_spec(package, places)


def _inside_installed(entry: str) -> bool:
    place = Path(entry).resolve()
    if place.name in ("site-packages", "dist-packages", "lib-dynload"):
        return False
    return any(place.is_relative_to(folder) and place != folder for folder in INSTALLED)


def _is_users(file: Path) -> bool:
    """Whether a module is neither installed nor one of ours."""
    file = file.resolve()
    ours = file.is_relative_to(ROOT) and file.relative_to(ROOT).parts[0] in OURS
    return not ours and not any(file.is_relative_to(folder) for folder in INSTALLED)


def _take(packages: set[str]) -> dict[str, ModuleType]:
    """Take these packages and all that is in them out of sys.modules."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if _package(name) in packages}


def _package(name: str) -> str:
    return name.partition(".")[0]
