# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Git registries of recipes: fetched into a cache, pinned to a commit, read offline after that.

A copy is plain files of one commit, without `.git`: nothing in it is run by fetching or by git.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import Place
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError

DEFAULT_CACHE = "~/.cache/dgxspark/recipes"
# Seconds for one git command; registries are a few MB.
TIMEOUT = 300
# The status of a shell that finds no such program.
_NOT_FOUND = 127

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_HOST = r"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])"
# The user of ssh is git, or whom ~/.ssh/config names: a token is often a user's name.
_URL = re.compile(
    rf"(https://|ssh://(git@)?){_HOST}(:[0-9]+)?/[^\s?#]+|(file://)?/[^\s]+|git@{_HOST}:[^\s:?#][^\s?#]*"
)
_FORMS = "https://host/path, ssh://git@host/path, git@host:path, file:///path or /path"
# Registries have some hundred files of 1 to 5 kB, with mods some MB.
MAX_BYTES = 64 * 1024 * 1024
MAX_FILES = 5_000
_MAX_LISTING = 8 * 1024 * 1024
_KEYS = ("name", "url", "ref", "commit", "folder", "trusted")
_PIN = "pinned.json"
# Before the registry's own attributes: none of its files goes through a filter of the user's.
_ATTRIBUTES = "* -filter -ident -text -eol -crlf -working-tree-encoding -diff -merge\n"
# A registry must not be able to start hooks, helpers or filters of the user.
_SAFE = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.symlinks=false"),
    *("-c", "core.autocrlf=false"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "protocol.ext.allow=never"),
    *("-c", "submodule.recurse=false"),
    *("-c", "fetch.recurseSubmodules=false"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
    *("-c", "advice.detachedHead=false"),
)


# No file that git writes is larger, the pack that a server sends among them. Blocks of 512 bytes.
_LIMIT = f"ulimit -f {MAX_BYTES // 512};"
_RUN = f'{_LIMIT} exec "$@"'
# A tree of a few objects may have any number of files.
_LIST = f'{_LIMIT} "$@" | head -c {_MAX_LISTING}'


@dataclasses.dataclass(frozen=True)
class Registry:
    """A git repository with recipes.

    ref: branch or tag; "" for its default branch. commit: 40 hex digits; "" for the one that `ref`
    had when it was fetched. folder: with the recipes, within the repository.
    """

    name: str
    url: str
    ref: str = ""
    commit: str = ""
    folder: str = ""
    trusted: bool = False


def registries_of(given: t.Any) -> list[Registry]:
    """Registries as the inventory names them: a list of maps. Raises RecipeError."""
    if not isinstance(given, (list, tuple)):
        raise RecipeError(f"dgxspark_recipe_registries is {given!r:.60}, expected a list of maps")
    registries = [_registry(entry) for entry in given]
    names = [registry.name for registry in registries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RecipeError(f"dgxspark_recipe_registries: {', '.join(twice)} is there twice")
    return registries


def _registry(entry: t.Any) -> Registry:
    where = "dgxspark_recipe_registries"
    if not isinstance(entry, t.Mapping):
        raise RecipeError(f"{where}: expected maps, found {entry!r:.60}")
    unknown = [str(key) for key in entry if key not in _KEYS]
    if unknown:
        raise RecipeError(f"{where}: {', '.join(unknown)}: unknown; there are {', '.join(_KEYS)}")
    text = {key: str(entry.get(key) or "") for key in _KEYS if key != "trusted"}
    trusted = entry.get("trusted", False)
    folder = pathlib.PurePosixPath(text["folder"])
    for wrong, what in (
        (not _NAME.fullmatch(text["name"]), f"name {text['name']!r:.60} is not a plain name"),
        (
            not _URL.fullmatch(text["url"]),
            f"url {_without_user(text['url'])!r:.60} is none of {_FORMS}, without a user, a "
            "password or a token in it. Use git's credential helper, or ~/.ssh/config",
        ),
        (
            bool(text["ref"]) and not _REF.fullmatch(text["ref"]),
            f"ref {text['ref']!r:.60} is not a branch or tag",
        ),
        (
            bool(text["commit"]) and not _COMMIT.fullmatch(text["commit"]),
            f"commit {text['commit']!r:.60} is not 40 hex digits",
        ),
        (
            folder.is_absolute() or ".." in folder.parts,
            f"folder {text['folder']!r:.60} is not a path within the repository",
        ),
        (not isinstance(trusted, bool), f"trusted is {trusted!r:.20}, expected true or false"),
    ):
        if wrong:
            raise RecipeError(f"{where}: {text['name'] or 'a registry'}: {what}")
    return Registry(trusted=trusted, **text)


def _without_user(text: str) -> str:
    """A text without what is before an @ or after a ? of addresses, which may be a secret."""
    text = re.sub(r"[^\s'\"]*@", "***@", text)
    return foreign.shown(re.sub(r"\?[^\s'\"]*", "?***", text))


def place_of(registry: Registry, cache: str = DEFAULT_CACHE) -> Place:
    """Where the registry's recipes are; the folder is not there before it has been fetched."""
    home = _home(registry, cache)
    root = home / (pinned_commit(registry, cache) or "not-fetched")
    return Place(
        str(root / registry.folder), registry.name, trusted=registry.trusted, root=str(root)
    )


def pinned_commit(registry: Registry, cache: str = DEFAULT_CACHE) -> str:
    """The commit that is read; "" where none has been fetched for this address and ref."""
    if registry.commit:
        return registry.commit
    try:
        pin = foreign.json_of((_home(registry, cache) / _PIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    if not isinstance(pin, dict) or (pin.get("url"), pin.get("ref")) != (
        registry.url,
        registry.ref,
    ):
        return ""
    commit = str(pin.get("commit"))
    return commit if _COMMIT.fullmatch(commit) else ""


def fetch(registry: Registry, cache: str = DEFAULT_CACHE) -> tuple[str, bool]:
    """Fetch the registry; its commit, and whether that is another than before.

    A registry with a `commit` that is there already needs no network. Raises RecipeError.
    """
    home = _home(registry, cache)
    before = pinned_commit(registry, cache)
    if registry.commit and (home / registry.commit).is_dir():
        return registry.commit, False
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _locked(home), tempfile.TemporaryDirectory(prefix=".new-", dir=home) as new:
            commit = _checkout(registry, new)
            there = (home / commit).is_dir()
            if not there:
                shutil.rmtree(os.path.join(new, ".git"))
                os.chmod(new, 0o755)
                os.rename(new, home / commit)
                os.mkdir(new)  # for TemporaryDirectory to remove
            _write_pin(home, {"url": registry.url, "ref": registry.ref, "commit": commit})
    except OSError as exc:
        raise RecipeError(
            f"registry {registry.name}: {exc.filename or home}: {exc.strerror or exc}"
        ) from exc
    return commit, commit != before or not there


def _home(registry: Registry, cache: str) -> pathlib.Path:
    return pathlib.Path(cache).expanduser() / registry.name


@contextlib.contextmanager
def _locked(home: pathlib.Path) -> t.Iterator[None]:
    with open(home / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_pin(home: pathlib.Path, pin: t.Mapping[str, str]) -> None:
    new = home / f".{_PIN}.{os.getpid()}"
    new.write_text(json.dumps(pin, indent=2) + "\n", encoding="utf-8")
    new.replace(home / _PIN)


def _checkout(registry: Registry, folder: str) -> str:
    _git(registry, folder, "init", "--quiet")
    info = pathlib.Path(folder, ".git", "info")
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text(_ATTRIBUTES, encoding="ascii")
    wanted = registry.commit or registry.ref or "HEAD"
    try:
        _git(registry, folder, "fetch", "--quiet", "--depth=1", "--", registry.url, wanted)
    except RecipeError:
        if not registry.commit:
            raise
        # Not every server gives out a commit by its number.
        refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        _git(registry, folder, "fetch", "--quiet", "--", registry.url, *refs)
        _require_small(registry, folder, registry.commit)
        _git(registry, folder, "checkout", "--quiet", "--detach", registry.commit)
        return registry.commit
    commit = _git(registry, folder, "rev-parse", "FETCH_HEAD^{commit}")
    if registry.commit and commit != registry.commit:
        raise RecipeError(f"registry {registry.name}: git gave {commit}, not {registry.commit}")
    _require_small(registry, folder, commit)
    _git(registry, folder, "checkout", "--quiet", "--detach", commit)
    return commit


def _require_small(registry: Registry, folder: str, commit: str) -> None:
    """Raise RecipeError if the files of the commit have more than MAX_BYTES, or are too many."""
    tree = ("ls-tree", "-r", "-l", "-z", "--full-tree", commit)
    listed = _git(registry, folder, *tree, script=_LIST)
    sizes = [line.partition("\t")[0].split()[-1] for line in listed.split("\0") if line]
    size = sum(int(one) for one in sizes if foreign.is_whole(one))
    if not sizes:
        raise RecipeError(f"registry {registry.name}: {commit} has no files")
    if size > MAX_BYTES or len(sizes) > MAX_FILES or len(listed) >= _MAX_LISTING - 1:
        raise RecipeError(
            f"registry {registry.name}: {commit} has more than {MAX_FILES} files, or more than "
            f"{MAX_BYTES} bytes. Name a repository that has little but recipes"
        )


def _git(registry: Registry, folder: str, *arguments: str, script: str = _RUN) -> str:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GIT_DIR")}
    for key in ("GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        environ.pop(key, None)
    environ.update(GIT_TERMINAL_PROMPT="0", GIT_LFS_SKIP_SMUDGE="1", LC_ALL="C.UTF-8")
    try:
        # The controller may run it without a module: no run_command there.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            ["sh", "-c", script, "sh", "git", *_SAFE, "-C", folder, *arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise RecipeError(
            f"registry {registry.name}: git {arguments[0]} did not end within {TIMEOUT} s"
        ) from exc
    if done.returncode == _NOT_FOUND:
        raise RecipeError(f"registry {registry.name}: git is not installed on the controller")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        url, reason = _without_user(registry.url), _without_user(lines[-1])
        raise RecipeError(
            f"registry {registry.name}: git {arguments[0]} of {url} failed: {reason}. "
            "Check url, ref and commit in dgxspark_recipe_registries, and the network"
        )
    return done.stdout.strip()
