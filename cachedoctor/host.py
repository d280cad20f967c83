"""The machine looked at. Nothing else reads the process environment.

A home that is not the caller's is examined with an empty environment, because another user's
variables are not ours; `--env` adds to it.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import TYPE_CHECKING

from cachedoctor import config
from cachedoctor.errors import CannotLookError, UsageError
from cachedoctor.looking import quietly
from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

PLATFORMS = ("darwin", "linux", "windows")  # the last is looked at, never changed
_SECRETS = ("TOKEN", "KEY", "SECRET", "PASSW", "CREDENTIAL")
_TRUE = ("1", "ON", "YES", "TRUE")
_VARIABLE = r"\$(\w+|\{[^}]*\})"


class Host(NamedTuple):
    """Where to look: home, platform, environment, folders, engine versions and the clock."""

    home: str  # whose caches are meant
    platform: str  # `darwin`, `linux` or `windows`
    environment: Mapping[str, str]  # that the engines would see
    cwd: str  # the folder that relative paths start from
    project: str | None  # a folder with models of its own
    temporary: str  # where engines put what is temporary
    state: str  # of the running user: our journals and remembered digests
    engine_versions: Mapping[str, str]  # that are assumed, by engine; otherwise the newest
    named: bool = False  # a home that was named, so other people's environment does not apply
    places: tuple[config.Place, ...] = ()  # that `cachedoctor.toml` adds
    pythons: Mapping[str, str] = {}  # the interpreter that has an engine, where it was named
    said_by: Mapping[str, str] = {}  # file and line of an engine's version, for errors
    keep: tuple[tuple[str, str], ...] = ()  # names that are never chosen for removal; file and line
    passed_over: tuple[tuple[str, str], ...] = ()  # configuration that does not count, and why
    refused: str = ""  # why the user's own configuration was not read
    given: tuple[str, ...] = ()  # options that a printed command has to repeat

    def __repr__(self) -> str:
        """Return a line without the environment: it may hold secrets, and values end up in logs."""
        return f"<Host {self.home} on {self.platform}>"

    @classmethod
    def look(
        cls,
        *,
        home: str | None = None,
        platform: str | None = None,
        environment: Mapping[str, str] | None = None,
        project: str | None = None,
        engine_versions: Mapping[str, str] | None = None,
        pythons: Mapping[str, str] | None = None,
    ) -> Host:
        """Describe this machine, or the home, platform and project that are named.

        `environment` is added to the process's own, or to nothing when `home` is named. Reads
        `cachedoctor.toml` of the project and of the running user; what is given here goes first.
        Raises `CannotLookError` for a home or project that is no folder, and `UsageError` for a
        mistake in a configuration file.
        """
        added = dict(environment or {})
        named_project = project
        variables = added if home is not None else {**os.environ, **added}
        if platform is not None and platform not in PLATFORMS:
            raise UsageError(f"no platform `{platform}`", hint=f"use {', '.join(PLATFORMS)}")
        for name, given in (("home", home), ("project", project)):
            if given == "":  # as from a variable of a script that is not set
                raise UsageError(f"the {name} is empty", hint="name a folder")
        if home is None:
            place = variables.get("HOME") or os.path.expanduser("~")
        else:
            place = os.path.abspath(os.path.expanduser(home))
            _require_folder(place, "home")
        try:
            cwd = os.getcwd()
        except FileNotFoundError:  # it was deleted under us
            cwd = "/"
        if project is not None:
            project = os.path.abspath(os.path.expanduser(project))
            _require_folder(project, "project")
        elif any(os.path.isdir(os.path.join(cwd, name)) for name in ("models", "mlx_models")):
            project = cwd
        said = [config.read(config_folder(), home=place, confined=False)]
        if project is not None or os.path.lexists(os.path.join(cwd, config.NAME)):
            said.insert(0, config.read(project or cwd, home=place, confined=True))
        versions = {n: v for one in reversed(said) for n, v in one.engine_versions.items()}
        return cls(
            home=place,
            platform=platform or ("darwin" if sys.platform == "darwin" else "linux"),
            environment=variables,
            cwd=cwd,
            project=project,
            temporary=variables.get("TMPDIR", "/tmp"),
            state=_state_folder(),
            engine_versions={**versions, **(engine_versions or {})},
            named=home is not None,
            places=tuple(added for one in said for added in one.places),
            pythons=pythons or {},
            said_by={name: line for one in reversed(said) for name, line in one.said_by.items()},
            keep=tuple(row for one in said for row in one.keep),
            passed_over=tuple(row for one in said for row in one.passed_over),
            refused="".join(one.refused for one in said),
            given=_given(named_project, added, engine_versions or {}, pythons or {}),
        )

    def require_own_configuration(self) -> None:
        """Raise `UsageError` where the user's own configuration was refused.

        For whatever is about to change a file: what the user wanted there is not known.
        """
        if self.refused:
            raise UsageError(
                self.refused,
                hint=f"make `{config.NAME}` a file of your own that nobody else can write",
            )

    def expand(self, value: str) -> str:
        """Expand `~` and `$NAME` as `os.path.expanduser` and `expandvars` do, for this host."""
        if value == "~" or value.startswith(("~/", "~\\")):
            value = self.home + value[1:]
        if self.platform == "windows":
            from cachedoctor.looking import windows

            value = windows.expanded(value, self.environment)

        def known(match: re.Match[str]) -> str:
            name = match[1].strip("{}")
            return self.environment.get(name, match[0])

        return re.sub(_VARIABLE, known, value) if "$" in value else value

    def absolute(self, value: str) -> str:
        """Return `value` as an engine started in the current folder would take it."""
        if self.platform == "windows":
            from cachedoctor.looking import windows

            local = windows.local(value, self.home, self.environment)
            return windows.spelled(os.path.normpath(os.path.join(self.cwd, local)))
        return os.path.normpath(os.path.join(self.cwd, value))

    @property
    def hub_home(self) -> str:
        """Return huggingface_hub's own folder, which an empty `HF_HOME` makes the current one.

        Source: huggingface_hub 2.4.0 `constants.py`, `HF_HOME`.
        """
        cache = self.environment.get("XDG_CACHE_HOME", os.path.join(self.home, ".cache"))
        value = self.environment.get("HF_HOME", os.path.join(cache, "huggingface"))
        return self.expand(value)

    @property
    def hub_cache(self) -> str:
        """Return the hub cache; an empty `HF_HUB_CACHE` is the current folder.

        Source: huggingface_hub 2.4.0 `constants.py`, `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`.
        """
        legacy = self.environment.get("HUGGINGFACE_HUB_CACHE", os.path.join(self.hub_home, "hub"))
        return self.absolute(self.expand(self.environment.get("HF_HUB_CACHE", legacy)))

    @property
    def hub_offline(self) -> bool:
        """Say whether huggingface_hub would refuse the network; `y` and `2` do not count.

        `TRANSFORMERS_OFFLINE` is asked only when `HF_HUB_OFFLINE` is unset or empty.
        Source: huggingface_hub 2.4.0 `constants.py`, `HF_HUB_OFFLINE`, `_is_true`.
        """
        value = self.environment.get("HF_HUB_OFFLINE") or self.environment.get(
            "TRANSFORMERS_OFFLINE", ""
        )
        return value.upper() in _TRUE

    @property
    def homes(self) -> tuple[str, ...]:
        """Return what Apple's frameworks take for the home: the user's, and each sandboxed app's.

        A container that may not be looked into is one all the same. None but on a Mac.
        """
        if self.platform != "darwin":
            return ()
        containers = os.path.join(self.home, "Library", "Containers")
        try:
            names = quietly.names(containers)
        except OSError:
            names = []
        data = (os.path.join(containers, name, "Data") for name in names)
        return (self.home, *(path for path in data if _may_be_there(path)))

    def without_secrets(self) -> Host:
        """Return this host as it may be told to other machines."""
        kept = {
            name: value
            for name, value in self.environment.items()
            if not any(part in name.upper() for part in _SECRETS)
        }
        return self._replace(environment=kept)

    @property
    def options(self) -> str:
        """Return what a command has to end with to mean this question again, a space before it.

        Nothing for one's own home without options. Secrets are left out.
        """
        words: list[str] = []
        if self.named:
            inside = self.home.startswith(self.cwd.rstrip("/") + "/")
            words += ["--home", os.path.relpath(self.home, self.cwd) if inside else self.home]
        if self.platform != ("darwin" if sys.platform == "darwin" else "linux"):
            words += ["--platform", self.platform]
        return "".join(f" {shlex.quote(word)}" for word in (*words, *self.given))

    def command(self, *words: str) -> str:
        """Return a command that can be pasted: it asks about this host again (law 13)."""
        return " ".join(("cachedoctor", *(shlex.quote(word) for word in words))) + self.options

    def again(self, command: str) -> str:
        """Return a command of ours as one that asks about this host; another stays as it is."""
        ours = command.startswith("cachedoctor ") and not command.endswith(self.options)
        return command + self.options if ours else command

    def short(self, path: str) -> str:
        """Return `path` with this home as `~`."""
        if path == self.home or path.startswith(self.home.rstrip("/") + "/"):
            return "~" + path[len(self.home.rstrip("/")) :]
        return path


def _given(
    project: str | None,
    environment: Mapping[str, str],
    versions: Mapping[str, str],
    pythons: Mapping[str, str],
) -> tuple[str, ...]:
    words = ["--project", project] if project is not None else []
    for name, value in environment.items():
        if not any(part in name for part in _SECRETS):
            words += ["--env", f"{name}={value}"]
    for name, value in versions.items():
        words += ["--engine-version", f"{name}={value}"]
    for name, value in pythons.items():
        words += ["--python", f"{name}={value}"]
    return tuple(words)


def _may_be_there(path: str) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _require_folder(path: str, what: str) -> None:
    try:
        quietly.names(path)
    except FileNotFoundError as error:
        raise CannotLookError(f"the {what} does not exist: `{path}`") from error
    except NotADirectoryError as error:
        raise CannotLookError(f"the {what} is a file, not a folder: `{path}`") from error
    except PermissionError as error:
        raise CannotLookError(
            f"the {what} cannot be read: `{path}`", hint="run as the user it belongs to"
        ) from error
    except OSError as error:
        raise CannotLookError(f"the {what} cannot be read ({error.strerror}): `{path}`") from error


def config_folder() -> str:
    """Return the running user's folder of configuration."""
    import platformdirs

    return platformdirs.user_config_dir("cachedoctor", appauthor=False)


def _state_folder() -> str:
    import platformdirs

    return platformdirs.user_state_dir("cachedoctor", appauthor=False)
