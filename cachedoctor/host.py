"""The machine to examine. Nothing else reads the process environment.

Another home is examined with an empty environment, because variables of the running user do not
apply to it; `--env` adds to it.
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

PLATFORMS = ("darwin", "linux", "windows")  # the last is examined, never changed
_SECRETS = ("TOKEN", "KEY", "SECRET", "PASSW", "CREDENTIAL")
TRUE = ("1", "ON", "YES", "TRUE")
_VARIABLE = r"\$(\w+|\{[^}]*\})"

# The home that container engines give to a user who has neither a name nor `HOME`.
_OF_NOBODY = "/"


class Host(NamedTuple):
    """Where to look: home, platform, environment, folders, engine versions and clock."""

    home: str  # the home to examine
    platform: str  # `darwin`, `linux` or `windows`
    environment: Mapping[str, str]  # as the engines would see it
    cwd: str  # base of relative paths
    project: str | None  # a folder with its own models
    temporary: str  # where engines put temporary files
    state: str  # the running user's folder for journals and remembered digests
    engine_versions: Mapping[str, str]  # versions to assume, by engine; otherwise the newest
    named: bool = False  # the user named the home, so our environment does not apply to it
    places: tuple[config.Place, ...] = ()  # added by `cachedoctor.toml`
    pythons: Mapping[str, str] = {}  # the interpreter given for each engine
    said_by: Mapping[str, str] = {}  # file and line of an engine's version, for errors
    keep: tuple[tuple[str, str], ...] = ()  # names never chosen for removal; file and line
    passed_over: tuple[tuple[str, str], ...] = ()  # ignored configuration, and why
    refused: str = ""  # why the user's own configuration was not read
    given: tuple[str, ...] = ()  # options that a printed command must repeat

    def __repr__(self) -> str:
        """Return a line without the environment: it can hold secrets, and values end up in logs."""
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
        """Describe this machine, or the given home, platform and project.

        `environment` is added to the process's own, or to nothing if `home` is given. Reads
        `cachedoctor.toml` of the project and of the running user; arguments take precedence.
        Raises `CannotLookError` for a home or project that is not a folder, and `UsageError` for a
        mistake in a configuration file.
        """
        added = dict(environment or {})
        named_project = project
        variables = added if home is not None else {**os.environ, **added}
        if platform is not None and platform not in PLATFORMS:
            raise UsageError(f"no platform `{platform}`", hint=f"use {', '.join(PLATFORMS)}")
        for name, given in (("home", home), ("project", project)):
            if given == "":  # as from an unset variable in a script
                raise UsageError(f"the {name} is empty", hint="name a folder")
        if home is None:
            place = variables.get("HOME") or os.path.expanduser("~")
        else:
            place = os.path.abspath(os.path.expanduser(home))
            _require_folder(place, "home")
        try:
            cwd = os.getcwd()
        except FileNotFoundError:  # deleted while we run in it
            cwd = "/"
        place = os.path.join(cwd, place)  # HOME can be relative
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
        """Raise `UsageError` if the user's own configuration was refused.

        Call this before changing any file: otherwise the user's wishes are unknown.
        """
        if self.refused:
            raise UsageError(
                self.refused,
                hint=f"`{config.NAME}` must be your own file, writable by nobody else",
            )

    def expand(self, value: str) -> str:
        """Expand `~` and `$NAME` for this host, like `os.path.expanduser` and `expandvars`."""
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
        """Return `value` as an absolute path, relative to the current folder of the engines."""
        if self.platform == "windows":
            from cachedoctor.looking import windows

            local = windows.local(value, self.home, self.environment)
            return windows.spelled(os.path.normpath(os.path.join(self.cwd, local)))
        return os.path.normpath(os.path.join(self.cwd, value))

    def here(self, name: str) -> str:
        """Return the path of `name` in the project, or in the folder where the engines run."""
        return os.path.join(self.project or self.cwd, name)

    @property
    def hub_home(self) -> str:
        """Return huggingface_hub's own folder; an empty `HF_HOME` means the current one.

        Source: huggingface_hub 2.4.0 `constants.py`, `HF_HOME`.
        """
        cache = self.environment.get("XDG_CACHE_HOME", os.path.join(self.home, ".cache"))
        value = self.environment.get("HF_HOME", os.path.join(cache, "huggingface"))
        return self.expand(value)

    @property
    def hub_cache(self) -> str:
        """Return the hub cache; an empty `HF_HUB_CACHE` means the current folder.

        Source: huggingface_hub 2.4.0 `constants.py`, `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`.
        """
        legacy = self.environment.get("HUGGINGFACE_HUB_CACHE", os.path.join(self.hub_home, "hub"))
        return self.absolute(self.expand(self.environment.get("HF_HUB_CACHE", legacy)))

    @property
    def hub_offline(self) -> bool:
        """Return whether huggingface_hub would refuse the network; `y` and `2` do not count.

        `TRANSFORMERS_OFFLINE` matters only if `HF_HUB_OFFLINE` is unset or empty.
        Source: huggingface_hub 2.4.0 `constants.py`, `HF_HUB_OFFLINE`, `_is_true`.
        """
        value = self.environment.get("HF_HUB_OFFLINE") or self.environment.get(
            "TRANSFORMERS_OFFLINE", ""
        )
        return value.upper() in TRUE

    @property
    def homes(self) -> tuple[str, ...]:
        """Return what Apple's frameworks use as home: the user's, and each sandboxed app's.

        An unreadable container counts too. Empty except on a Mac.
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
        """Return this host in a form that can be sent to other machines."""
        kept = {
            name: value
            for name, value in self.environment.items()
            if not any(part in name.upper() for part in _SECRETS)
        }
        return self._replace(environment=kept)

    @property
    def options(self) -> str:
        """Return the options, after a space, with which a command asks about this host again.

        Empty for one's own home without options. Secrets are left out.
        """
        words: list[str] = []
        if self.named:
            inside = self.home.startswith(self.cwd.rstrip("/") + "/")
            words += ["--home", os.path.relpath(self.home, self.cwd) if inside else self.home]
        if self.platform != ("darwin" if sys.platform == "darwin" else "linux"):
            words += ["--platform", self.platform]
        return "".join(f" {shlex.quote(word)}" for word in (*words, *self.given))

    def command(self, *words: str) -> str:
        """Return a command to paste that asks about this host again (law 13)."""
        return " ".join(("cachedoctor", *(shlex.quote(word) for word in words))) + self.options

    def again(self, command: str) -> str:
        """Return one of our commands so that it asks about this host; leave others unchanged."""
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
    """Return the running user's configuration folder."""
    import platformdirs

    try:
        return platformdirs.user_config_dir("cachedoctor", appauthor=False)
    except RuntimeError:
        return os.path.join(_OF_NOBODY, ".config", "cachedoctor")


def _state_folder() -> str:
    import platformdirs

    try:
        return platformdirs.user_state_dir("cachedoctor", appauthor=False)
    except RuntimeError:
        return os.path.join(_OF_NOBODY, ".local", "state", "cachedoctor")
