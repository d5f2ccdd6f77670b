# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Storage of models, data and caches: folders, free space, the Hugging Face cache, ZFS."""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.commands import Command
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.file_findings import (
    Judged,
    blocked_by,
    judge_file,
    own_file,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import Spec
from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    COMMENT,
    OwnFile,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    DRIFT,
    OK,
    SKIPPED,
    WARNING,
    Action,
    Blocked,
    Finding,
    Plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import later_files
from ansible_collections.dgxspark.suite.plugins.module_utils.host.safe_folder import SafeFolder
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.shell_profiles import (
    last_assignment,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.zfs import (
    FIXED_PROPERTIES,
    Pool,
    differing,
    parse_pools,
    parse_properties,
)

_SECONDS = 60.0
_GIB = 1 << 30
_PATH = re.compile(r"(/[A-Za-z0-9._+@-]+)+")
_DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*(/[A-Za-z0-9_.:-]+)*")


@dataclass(frozen=True)
class Folder:
    """A required folder. An empty owner or group, or mode 0, is not checked."""

    path: str
    owner: str = ""
    group: str = ""
    mode: int = 0
    free_gib: float = 0

    @property
    def check(self) -> str:
        return "storage_dir%s" % re.sub(r"[^a-z0-9]+", "_", self.path.lower())


@dataclass(frozen=True)
class Dataset:
    """A required ZFS dataset with its required properties."""

    name: str
    properties: Mapping[str, str]

    @property
    def pool(self) -> str:
        return self.name.partition("/")[0]

    @property
    def check(self) -> str:
        return "zfs_%s" % re.sub(r"[^a-z0-9]+", "_", self.name.lower())


@dataclass(frozen=True)
class Wanted:
    """The module's parameters; see its documentation."""

    directories: Sequence[Mapping[str, Any]]
    owner: str
    group: str
    hf_home: str
    profile_file: str
    environment_file: str
    datasets: Sequence[Mapping[str, Any]]

    def __post_init__(self) -> None:
        """Raises ValueError, naming the parameter, for an invalid value."""
        paths = [("directories", directory["path"]) for directory in self.directories]
        paths += [(name, getattr(self, name)) for name in ("profile_file", "environment_file")]
        if self.hf_home:
            paths.append(("hf_home", self.hf_home))
        for name, path in paths:
            if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
                message = "expected an absolute path of letters, digits and ._+@-, found %r"
                raise ValueError("%s: %s" % (name, message % path))
        for directory in self.directories:
            if directory.get("mode") and not re.fullmatch(
                r"0?[0-7]{3}|[0-7]{4}", directory["mode"]
            ):
                message = "directories: %s: mode: expected as 0755, found %r"
                raise ValueError(message % (directory["path"], directory["mode"]))
            if (directory.get("free_gib") or 0) < 0:
                raise ValueError(
                    "directories: %s: free_gib: expected 0 or more" % directory["path"]
                )
        by_check: dict[str, str] = {}
        for folder in self.folders:
            if folder.check in by_check:
                raise ValueError(
                    "directories: %s and %s map to the same check id %s"
                    % (by_check[folder.check], folder.path, folder.check)
                )
            by_check[folder.check] = folder.path
        for entry in self.datasets:
            if not _DATASET.fullmatch(entry["name"]):
                raise ValueError("datasets: expected as pool/name, found %r" % entry["name"])
            for key, value in (entry.get("properties") or {}).items():
                if not re.fullmatch(r"[a-z][a-z0-9:_.-]*", key) or isinstance(value, (dict, list)):
                    message = "datasets: %s: expected property: value, found %r"
                    raise ValueError(message % (entry["name"], {key: value}))
        names = [entry["name"] for entry in self.datasets]
        if len(set(names)) != len(names):
            raise ValueError("datasets: a name occurs twice")

    @property
    def folders(self) -> tuple[Folder, ...]:
        folders = [
            Folder(
                folder["path"].rstrip("/"),
                folder.get("owner") or self.owner,
                folder.get("group") or self.group,
                int(folder.get("mode") or "0", 8),
                float(folder.get("free_gib") or 0),
            )
            for folder in self.directories
        ]
        if self.hf_home and self.hf_home not in [folder.path for folder in folders]:
            above = [folder for folder in folders if self.hf_home.startswith(folder.path + "/")]
            like = max(above, key=lambda folder: len(folder.path)) if above else Folder("")
            folders.append(replace(like, path=self.hf_home, free_gib=0))
        return tuple(folders)

    @property
    def zfs(self) -> tuple[Dataset, ...]:
        """The datasets, parents before children."""
        datasets = [
            Dataset(
                dataset["name"], {k: _text(v) for k, v in (dataset.get("properties") or {}).items()}
            )
            for dataset in self.datasets
        ]
        return tuple(sorted(datasets, key=lambda dataset: dataset.name.split("/")))

    @property
    def files(self) -> dict[str, tuple[str, str | None]]:
        """Check id -> (path, text) of our files; text is None if the file should not exist."""
        home = self.hf_home
        shells = COMMENT + 'export HF_HOME="%s"\n' % home if home else None
        services = COMMENT + 'HF_HOME="%s"\n' % home if home else None
        return {
            "hf_home_profile": (self.profile_file, shells),
            "hf_home_environment": (self.environment_file, services),
        }


def _text(value: Any) -> str:
    # YAML reads an unquoted off as a boolean.
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


@dataclass(frozen=True)
class FolderState:
    """What exists at a folder's path. free is in bytes, of the file system that has the path.

    refusal: why it is no place for storage, whatever its owner and mode are. obstacle: why it must
    not be changed or created. links: those that lead to it, each as "link -> target".
    """

    kind: str  # folder, nothing or other
    owner: str = ""
    group: str = ""
    mode: int = 0
    free: int = 0
    empty: bool = True
    refusal: Blocked | None = None
    obstacle: Blocked | None = None
    read_only: bool = False
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Zfs:
    """The state of ZFS; error: why it does not answer."""

    zfs: str
    pools: Mapping[str, Pool]
    properties: Mapping[str, Mapping[str, str]]
    error: str = ""


@dataclass(frozen=True)
class Observed:
    """The input of the plan. users and groups are the required ones that exist.

    login_home is (HF_HOME, the file) of a file of profile.d that is read after ours.
    """

    folders: Mapping[str, FolderState]
    users: Mapping[str, int]
    groups: Mapping[str, int]
    files: Mapping[str, OwnFile | Blocked]
    root: bool
    zfs: Zfs = field(default_factory=lambda: Zfs("", {}, {}))
    login_home: tuple[str, str] = ("", "")


def observe(wanted: Wanted, zfs: str | None = None, zpool: str | None = None) -> Observed:
    """Read the node. Changes nothing. Tools that are None are searched."""
    folders = wanted.folders
    zfs_state = _zfs(wanted, zfs, zpool)
    paths = [entry.path for entry in folders] + [
        _mount(zfs_state, wanted, dataset.name) for dataset in wanted.zfs
    ]
    return Observed(
        {path: _look(path) for path in dict.fromkeys(paths) if path},
        _ids(_uid, [entry.owner for entry in folders]),
        _ids(_gid, [entry.group for entry in folders]),
        {check: own_file(path) for check, (path, _wanted) in wanted.files.items()},
        os.geteuid() == 0,
        zfs_state,
        last_assignment(later_files(wanted.profile_file), "HF_HOME"),
    )


def _uid(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _gid(name: str) -> int:
    return grp.getgrnam(name).gr_gid


def _ids(ask: Any, names: Sequence[str]) -> dict[str, int]:
    ids = {}
    for name in dict.fromkeys(names):
        try:
            ids[name] = ask(name)
        except KeyError:
            continue
    return ids


def _look(path: str) -> FolderState:
    """Through no link of another user, and never below one."""
    try:
        folder, missing = SafeFolder.nearest(path)
    except Blocked as blocked:
        return FolderState("other", refusal=blocked)
    except OSError as error:
        reason = "%s: %s" % (path, error.strerror)
        return FolderState("other", refusal=Blocked(reason, "Run as root (become), or repair it."))
    with folder:
        return _state(folder, missing)


def _state(folder: SafeFolder, missing: Sequence[str]) -> FolderState:
    """The state of a folder, or of one below it of which these names are missing."""
    room = os.fstatvfs(folder.descriptor)
    status = folder.status
    if missing:
        allowed = os.access(".", os.W_OK | os.X_OK, dir_fd=folder.descriptor)
    else:
        allowed = os.geteuid() in (0, status.st_uid)
    state = FolderState(
        "nothing" if missing else "folder",
        free=room.f_bavail * room.f_frsize,
        refusal=folder.system_objection(missing),
        obstacle=folder.objection() or (None if allowed else _NOT_ALLOWED),
        read_only=bool(room.f_flag & os.ST_RDONLY),
        links=folder.links,
    )
    if missing:
        return state
    try:
        empty = not folder.names()
    except OSError:  # not readable: treated as not empty
        empty = False
    return replace(
        state,
        owner=_name(pwd.getpwuid, status.st_uid),
        group=_name(grp.getgrgid, status.st_gid),
        mode=stat.S_IMODE(status.st_mode),
        empty=empty,
    )


_NOT_ALLOWED = Blocked("this user may not change it", "Run as root (become).")


def _name(ask: Any, number: int) -> str:
    try:
        return str(ask(number)[0])
    except KeyError:
        return str(number)


def _zfs(wanted: Wanted, zfs: str | None, zpool: str | None) -> Zfs:
    zfs = find_tool("zfs") if zfs is None else zfs
    zpool = find_tool("zpool") if zpool is None else zpool
    if not wanted.zfs or not zfs or not zpool:
        return Zfs(zfs or "", {}, {})
    pools = run([zpool, "list", "-Hp", "-o", "name,health,size,free"], _SECONDS)
    if not pools.ok:
        return Zfs(zfs, {}, {}, pools.describe())
    current: dict[str, dict[str, str]] = {}
    properties = {dataset.name: dataset.properties for dataset in wanted.zfs}
    for name in sorted({above for dataset in wanted.zfs for above in _ancestry(dataset.name)}):
        asked = ",".join(dict.fromkeys(["type", "mountpoint", *properties.get(name, {})]))
        result = run([zfs, "get", "-Hp", "-o", "name,property,value", asked, name], _SECONDS)
        current.update(parse_properties(result.stdout) if result.ok else {})
    return Zfs(zfs, parse_pools(pools.stdout), current)


def _ancestry(name: str) -> list[str]:
    """The names of a dataset and of the datasets above it."""
    words = name.split("/")
    return ["/".join(words[:count]) for count in range(1, len(words) + 1)]


def _mount(zfs: Zfs, wanted: Wanted, name: str) -> str:
    """The mountpoint of a dataset, its own or inherited; empty if it has none."""
    properties = {dataset.name: dataset.properties for dataset in wanted.zfs}.get(name, {})
    path = properties.get("mountpoint") or zfs.properties.get(name, {}).get("mountpoint")
    above, _slash, own = name.rpartition("/")
    if path is None and above:
        path = _mount(zfs, wanted, above)
        path = path and "%s/%s" % (path, own)
    return path.rstrip("/") if path and path.startswith("/") else ""


def _new_mounts(zfs: Zfs, wanted: Wanted) -> dict[str, str]:
    """Dataset -> path, of the datasets that a run would mount."""
    mounts = {
        dataset.name: _mount(zfs, wanted, dataset.name)
        for dataset in wanted.zfs
        if dataset.properties.get("canmount", "on") == "on" and "volsize" not in dataset.properties
    }
    return {
        name: path
        for name, path in mounts.items()
        if path and zfs.properties.get(name, {}).get("mountpoint") != path
    }


@dataclass(frozen=True)
class FolderMake:
    """Create a folder, or set its owner, group and mode; its contents are not changed."""

    folder: Folder
    current: FolderState
    uid: int
    gid: int

    @property
    def repairs(self) -> tuple[str, ...]:
        return (self.folder.check,)

    @property
    def subject(self) -> str:
        return self.folder.path

    @property
    def before(self) -> str:
        if self.current.kind != "folder":
            return ""
        return "%s:%s %04o\n" % (self.current.owner, self.current.group, self.current.mode)

    @property
    def after(self) -> str:
        exists = self.current.kind == "folder"
        return "%s:%s %04o\n" % (
            self.folder.owner or (self.current.owner if exists else "root"),
            self.folder.group or (self.current.group if exists else "root"),
            self.folder.mode or (self.current.mode if exists else 0o755),
        )

    def apply(self) -> None:
        """Raises Blocked and OSError; what is changed is what was checked, whatever its path is."""
        folder, missing = SafeFolder.nearest(self.folder.path)
        with folder:
            refusal = folder.system_objection(missing)
        if refusal:
            raise refusal
        with SafeFolder.make_all(self.folder.path) as folder:
            folder.give(self.uid, self.gid)
            if self.folder.mode:
                folder.set_mode(self.folder.mode)


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """The findings and actions for an observation. Pure."""
    mounts = _new_mounts(observed.zfs, wanted)
    datasets = [_dataset(observed, dataset, mounts.get(dataset.name, "")) for dataset in wanted.zfs]
    done = {finding.check for finding, actions in datasets if actions}
    covered = {
        mounts[dataset.name]
        for dataset in wanted.zfs
        if dataset.check in done and dataset.name in mounts
    }
    folders = [_folder(observed, entry, entry.path in covered) for entry in wanted.folders]
    judged = [
        _zfs_pools(observed, wanted),
        *datasets,
        *folders,
        _room(observed, wanted, covered),
        *(
            judge_file(check, observed.files[check], path, text)
            for check, (path, text) in wanted.files.items()
        ),
        (_at_login(observed, wanted), ()),
    ]
    return Plan(
        tuple(finding for finding, _actions in judged),
        tuple(sorted((action for _finding, some in judged for action in some), key=_turn)),
        facts={
            "hf_home": wanted.hf_home,
            "free_gib": {
                entry.path: round(observed.folders[entry.path].free / _GIB, 1)
                for entry in wanted.folders
            },
        },
    )


def _at_login(observed: Observed, wanted: Wanted) -> Finding:
    """A file of profile.d that is read after ours: logins would download to another place."""
    expected = "no file that is read after %s sets another HF_HOME" % wanted.profile_file
    finding = Finding("hf_home_at_login", OK, expected, "as expected")
    home, path = observed.login_home
    if not wanted.hf_home or not path or home.rstrip("/") == wanted.hf_home.rstrip("/"):
        return finding
    actual = "%s sets HF_HOME=%s and is read after %s" % (path, home, wanted.profile_file)
    hint = "Remove that line: downloads from a login would not be found by the services."
    return replace(finding, status=BLOCKED, severity=WARNING, actual=actual, hint=hint)


def _turn(action: Action) -> tuple[int, int]:
    """Datasets first, then folders, then files.

    Of folders the deepest first: while those above it are root's, nobody can exchange it.
    """
    if isinstance(action, FolderMake):
        return 1, -action.subject.count("/")
    return (0 if isinstance(action, Command) else 2), 0


def _folder(observed: Observed, folder: Folder, covered: bool) -> Judged:
    current = observed.folders[folder.path]
    wants = [
        "folder %s" % folder.path,
        *(["owner %s" % folder.owner] if folder.owner else []),
        *(["group %s" % folder.group] if folder.group else []),
        *(["mode %04o" % folder.mode] if folder.mode else []),
    ]
    via = " (%s)" % foreign.shown("; ".join(current.links)) if current.links else ""
    finding = Finding(folder.check, OK, ", ".join(wants), "as expected" + via)
    if current.refusal:
        finding = replace(finding, actual=str(current.refusal), severity=CRITICAL)
        return replace(finding, status=BLOCKED, hint=current.refusal.hint), ()
    wrong = []
    if current.kind == "nothing":
        wrong.append("does not exist")
    else:
        if folder.owner and current.owner != folder.owner:
            wrong.append("owner %s" % current.owner)
        if folder.group and current.group != folder.group:
            wrong.append("group %s" % current.group)
        if folder.mode and current.mode != folder.mode:
            wrong.append("mode %04o" % current.mode)
    if covered and current.kind == "folder" and (folder.owner or folder.group or folder.mode):
        # The dataset hides this folder, and has its own owner and mode.
        wrong = ["a dataset is not mounted there yet"]
    if not wrong:
        return finding, ()
    fix = "create it" if current.kind == "nothing" else "set it on the folder (not on its contents)"
    actual = "; ".join(wrong) + via
    finding = replace(finding, status=DRIFT, severity=WARNING, actual=actual, fix=fix)
    missing = [name for name in (folder.owner,) if name and name not in observed.users]
    missing += [name for name in (folder.group,) if name and name not in observed.groups]
    if missing:
        reason = "users or groups that do not exist on this node: %s" % ", ".join(missing)
        return blocked_by(
            finding, Blocked(reason, "Create the user or group, or choose another one.")
        ), ()
    if current.read_only:
        obstacle = Blocked("the file system is read-only", "See `dmesg`, and repair it.")
        return blocked_by(finding, obstacle), ()
    gives_away = bool(folder.owner or folder.group) and not observed.root
    if current.obstacle or gives_away:
        return blocked_by(finding, current.obstacle or _NOT_ALLOWED), ()
    uid = observed.users.get(folder.owner, -1)
    gid = observed.groups.get(folder.group, -1)
    state = replace(current, kind="nothing") if covered else current
    return finding, (FolderMake(folder, state, uid, gid),)


def _room(observed: Observed, wanted: Wanted, covered: Collection[str]) -> Judged:
    # The free space of a dataset is known once it exists.
    asked = [
        entry
        for entry in wanted.folders
        if entry.free_gib and not any((entry.path + "/").startswith(path + "/") for path in covered)
    ]
    refused = [entry.path for entry in asked if observed.folders[entry.path].refusal]
    asked = [entry for entry in asked if entry.path not in refused]
    wanted_room = ", ".join("%g GiB free for %s" % (entry.free_gib, entry.path) for entry in asked)
    finding = Finding("storage_space", OK, wanted_room or "any", "no free space required")
    if refused:
        actual = "not assessed: %s cannot be used" % ", ".join(refused)
        finding = replace(finding, status=SKIPPED, actual=actual)
    if not asked:
        return finding, ()
    free = {entry.path: observed.folders[entry.path].free / _GIB for entry in asked}
    actual = ", ".join("%s %.1f GiB" % pair for pair in free.items())
    finding = finding if refused else replace(finding, actual=actual)
    if all(free[entry.path] >= entry.free_gib for entry in asked):
        return finding, ()
    hint = "Remove models or other data that is not needed, or use a larger disk."
    finding = replace(finding, actual=actual, status=BLOCKED, severity=CRITICAL, hint=hint)
    return finding, ()


def _zfs_pools(observed: Observed, wanted: Wanted) -> Judged:
    names = list(dict.fromkeys(dataset.pool for dataset in wanted.zfs))
    if not names:
        return Finding("zfs_pools", SKIPPED, "any file system", "no ZFS dataset is configured"), ()
    finding = Finding("zfs_pools", OK, "%s ONLINE" % ", ".join(names), "as expected")
    zfs = observed.zfs
    wrong, hint = (
        [],
        "ansible-playbook dgxspark.suite.provision_disk creates a pool on an empty disk.",
    )
    if not zfs.zfs:
        wrong, hint = ["zfs is not installed"], "Install zfsutils-linux."
    elif zfs.error:
        wrong, hint = [zfs.error], "Load the kernel module zfs."
    for name in names if not wrong else ():
        pool = zfs.pools.get(name)
        if not pool:
            wrong.append("pool %s does not exist" % name)
        elif pool.health != "ONLINE":
            wrong.append("%s is %s" % (name, pool.health))
            hint = "See `zpool status %s`." % name
    if not wrong:
        return finding, ()
    actual = "; ".join(wrong)
    return replace(finding, status=BLOCKED, severity=CRITICAL, actual=actual, hint=hint), ()


def _dataset(observed: Observed, dataset: Dataset, mount: str) -> Judged:
    wants = ", ".join("%s=%s" % pair for pair in sorted(dataset.properties.items())) or "any"
    finding = Finding(dataset.check, OK, "%s with %s" % (dataset.name, wants), "as expected")
    zfs = observed.zfs
    if dataset.pool not in zfs.pools:
        return replace(
            finding, status=SKIPPED, actual="not assessed: the pool does not exist, see zfs_pools"
        ), ()
    current = zfs.properties.get(dataset.name)
    finding = replace(finding, status=DRIFT, severity=WARNING)
    if current is None:
        finding = replace(finding, actual="does not exist", fix="zfs create")
        options = [word for pair in sorted(dataset.properties.items()) for word in _option(*pair)]
        argv = (zfs.zfs, "create", "-p", *options, dataset.name)
        after = "".join("%s=%s\n" % pair for pair in sorted(dataset.properties.items()))
    else:
        wrong = differing(current, dataset.properties)
        if not wrong:
            return replace(finding, status=OK, severity="info"), ()
        actual = ", ".join("%s=%s" % (name, current.get(name, "-")) for name in sorted(wrong))
        finding = replace(finding, actual=actual, fix="zfs set")
        fixed = [name for name in sorted(wrong) if name in FIXED_PROPERTIES]
        if fixed:
            reason = "%s cannot be changed once a dataset is there" % ", ".join(fixed)
            hint = "Make another one with it, copy the data, and rename; or accept what is there."
            return blocked_by(finding, Blocked(reason, hint)), ()
        pairs = ["%s=%s" % pair for pair in sorted(wrong.items())]
        argv = (zfs.zfs, "set", *pairs, dataset.name)
        after = "".join("%s\n" % pair for pair in pairs)
    at = observed.folders.get(mount)
    unfit = (at.refusal or at.obstacle) if at and observed.root else None
    if unfit:
        return blocked_by(finding, unfit), ()
    if at and at.kind == "folder" and not at.empty:
        reason = "%s is not empty, and a dataset mounted there would hide what is in it" % mount
        return blocked_by(finding, Blocked(reason, "Move its contents away first.")), ()
    if not observed.root:
        return blocked_by(finding, _NOT_ALLOWED), ()
    before = "".join(
        "%s=%s\n" % (name, current[name])
        for name in sorted(differing(current or {}, dataset.properties))
        if current and name in current
    )
    action: Action = Command(
        dataset.name,
        argv,
        before,
        after,
        (dataset.check,),
        hint="See `zfs get all %s`; existing files keep their recordsize." % dataset.name,
    )
    return finding, (action,)


def _option(name: str, value: str) -> tuple[str, str]:
    return "-o", "%s=%s" % (name, value)


DIRECTORIES = [
    {"path": "/ai/models", "mode": "0755", "free_gib": 50},
    {"path": "/ai/data", "mode": "0755"},
    {"path": "/ai/cache", "mode": "0755"},
]

SPEC = Spec(
    name="storage",
    options={
        "directories": {
            "type": "list",
            "elements": "dict",
            "default": DIRECTORIES,
            "options": {
                "path": {"type": "path", "required": True},
                "owner": {"type": "str", "default": ""},
                "group": {"type": "str", "default": ""},
                "mode": {"type": "str", "default": ""},
                "free_gib": {"type": "float", "default": 0},
            },
        },
        "owner": {"type": "str", "default": ""},
        "group": {"type": "str", "default": ""},
        "hf_home": {"type": "str", "default": "/ai/cache/huggingface"},
        "profile_file": {"type": "path", "default": "/etc/profile.d/dgxspark-storage.sh"},
        "environment_file": {"type": "path", "default": "/etc/dgxspark/storage.env"},
        "datasets": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "properties": {"type": "dict", "default": {}},
            },
        },
    },
    wanted=Wanted,
    observe=observe,
    plan=plan,
)
