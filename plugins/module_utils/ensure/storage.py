# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Where models, data and caches are: folders, room, the Hugging Face cache, ZFS properties."""

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
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    COMMENT,
    OwnFile,
    can_replace,
    make_directories,
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
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
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
    """A folder that is wanted. Empty owner or group: whoever it is; mode is 0 for any."""

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
    """A ZFS dataset that is wanted, with the properties that are."""

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
        """Raises ValueError, naming the parameter, for what cannot be meant."""
        paths = [("directories", one["path"]) for one in self.directories]
        paths += [(name, getattr(self, name)) for name in ("profile_file", "environment_file")]
        if self.hf_home:
            paths.append(("hf_home", self.hf_home))
        for name, path in paths:
            if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
                told = "expected an absolute path of letters, digits and ._+@-, found %r"
                raise ValueError("%s: %s" % (name, told % path))
        for one in self.directories:
            if one.get("mode") and not re.fullmatch(r"0?[0-7]{3}|[0-7]{4}", one["mode"]):
                told = "directories: %s: mode: expected as 0755, found %r"
                raise ValueError(told % (one["path"], one["mode"]))
            if (one.get("free_gib") or 0) < 0:
                raise ValueError("directories: %s: free_gib: expected 0 or more" % one["path"])
        checks = [folder.check for folder in self.folders]
        if len(set(checks)) != len(checks):
            raise ValueError("directories: two of them have the same name")
        for entry in self.datasets:
            if not _DATASET.fullmatch(entry["name"]):
                raise ValueError("datasets: expected as pool/name, found %r" % entry["name"])
            for key, value in (entry.get("properties") or {}).items():
                if not re.fullmatch(r"[a-z][a-z0-9:_.-]*", key) or isinstance(value, (dict, list)):
                    told = "datasets: %s: expected property: value, found %r"
                    raise ValueError(told % (entry["name"], {key: value}))
        names = [entry["name"] for entry in self.datasets]
        if len(set(names)) != len(names):
            raise ValueError("datasets: one is named twice")

    @property
    def folders(self) -> tuple[Folder, ...]:
        found = [
            Folder(
                one["path"].rstrip("/"),
                one.get("owner") or self.owner,
                one.get("group") or self.group,
                int(one.get("mode") or "0", 8),
                float(one.get("free_gib") or 0),
            )
            for one in self.directories
        ]
        if self.hf_home and self.hf_home not in [one.path for one in found]:
            above = [one for one in found if self.hf_home.startswith(one.path + "/")]
            like = max(above, key=lambda one: len(one.path)) if above else Folder("")
            found.append(replace(like, path=self.hf_home, free_gib=0))
        return tuple(found)

    @property
    def zfs(self) -> tuple[Dataset, ...]:
        """Parents before what is in them."""
        found = [
            Dataset(one["name"], {k: _text(v) for k, v in (one.get("properties") or {}).items()})
            for one in self.datasets
        ]
        return tuple(sorted(found, key=lambda one: one.name.split("/")))

    @property
    def files(self) -> dict[str, tuple[str, str | None]]:
        """Check id -> (path, text) of the files of ours; no text where none should be."""
        home = self.hf_home
        shells = COMMENT + 'export HF_HOME="%s"\n' % home if home else None
        services = COMMENT + 'HF_HOME="%s"\n' % home if home else None
        return {
            "hf_home_profile": (self.profile_file, shells),
            "hf_home_environment": (self.environment_file, services),
        }


def _text(value: Any) -> str:
    # YAML makes a boolean of an unquoted off.
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


@dataclass(frozen=True)
class Found:
    """What stands at a folder's path. free is in bytes, of what it is on or would be on."""

    kind: str  # folder, nothing, or in words what else
    owner: str = ""
    group: str = ""
    mode: int = 0
    free: int = 0
    empty: bool = True
    writable: bool = True
    read_only: bool = False


@dataclass(frozen=True)
class Zfs:
    """What ZFS says, or why it says nothing."""

    zfs: str
    pools: Mapping[str, Pool]
    properties: Mapping[str, Mapping[str, str]]
    error: str = ""


@dataclass(frozen=True)
class Observed:
    """Everything the plan depends on. users and groups are those that are wanted and exist."""

    folders: Mapping[str, Found]
    users: Mapping[str, int]
    groups: Mapping[str, int]
    files: Mapping[str, OwnFile | Blocked]
    root: bool
    zfs: Zfs = field(default_factory=lambda: Zfs("", {}, {}))


def observe(wanted: Wanted, zfs: str | None = None, zpool: str | None = None) -> Observed:
    """Read the node. Changes nothing. The tools are looked for where they are None."""
    folders = wanted.folders
    told = _zfs(wanted, zfs, zpool)
    paths = [one.path for one in folders] + [_mount(told, wanted, one.name) for one in wanted.zfs]
    return Observed(
        {path: _look(path) for path in dict.fromkeys(paths) if path},
        _ids(_uid, [one.owner for one in folders]),
        _ids(_gid, [one.group for one in folders]),
        {check: own_file(path) for check, (path, _wanted) in wanted.files.items()},
        os.geteuid() == 0,
        told,
    )


def _uid(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _gid(name: str) -> int:
    return grp.getgrnam(name).gr_gid


def _ids(ask: Any, names: Sequence[str]) -> dict[str, int]:
    found = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = ask(name)
        except KeyError:
            continue
    return found


def _look(path: str) -> Found:
    above = path
    while not os.path.exists(above):
        above = os.path.dirname(above)
    try:
        room = os.statvfs(above)
        free = room.f_bavail * room.f_frsize
        read_only = bool(room.f_flag & os.ST_RDONLY)
    except OSError:
        free, read_only = 0, False
    if above != path:
        kind = "a link to nothing" if os.path.lexists(path) else "nothing"
        if kind == "nothing" and not os.path.isdir(above):
            kind = "below %s, which is no folder" % above
        writable = can_replace(path) and not read_only
        return Found(kind, free=free, writable=writable, read_only=read_only)
    seen = os.stat(path)
    if not stat.S_ISDIR(seen.st_mode):
        return Found("no folder but something else", free=free)
    try:
        empty = not os.listdir(path)
    except OSError:  # not ours to read; what cannot be seen may be something
        empty = False
    return Found(
        "folder",
        _name(pwd.getpwuid, seen.st_uid),
        _name(grp.getgrgid, seen.st_gid),
        stat.S_IMODE(seen.st_mode),
        free,
        empty,
        os.geteuid() in (0, seen.st_uid),
        read_only,
    )


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
    found: dict[str, dict[str, str]] = {}
    properties = {one.name: one.properties for one in wanted.zfs}
    for name in sorted({above for one in wanted.zfs for above in _line(one.name)}):
        asked = ",".join(dict.fromkeys(["type", "mountpoint", *properties.get(name, {})]))
        told = run([zfs, "get", "-Hp", "-o", "name,property,value", asked, name], _SECONDS)
        found.update(parse_properties(told.stdout) if told.ok else {})
    return Zfs(zfs, parse_pools(pools.stdout), found)


def _line(name: str) -> list[str]:
    """A dataset's name and those of the datasets above it."""
    words = name.split("/")
    return ["/".join(words[:count]) for count in range(1, len(words) + 1)]


def _mount(zfs: Zfs, wanted: Wanted, name: str) -> str:
    """Where a dataset has its mountpoint, its own or by those above it; empty for nowhere."""
    properties = {one.name: one.properties for one in wanted.zfs}.get(name, {})
    path = properties.get("mountpoint") or zfs.properties.get(name, {}).get("mountpoint")
    above, _slash, own = name.rpartition("/")
    if path is None and above:
        path = _mount(zfs, wanted, above)
        path = path and "%s/%s" % (path, own)
    return path.rstrip("/") if path and path.startswith("/") else ""


def _mounted_anew(zfs: Zfs, wanted: Wanted) -> dict[str, str]:
    """Dataset -> path, of those that a run would mount there."""
    found = {
        one.name: _mount(zfs, wanted, one.name)
        for one in wanted.zfs
        if one.properties.get("canmount", "on") == "on" and "volsize" not in one.properties
    }
    return {
        name: path
        for name, path in found.items()
        if path and zfs.properties.get(name, {}).get("mountpoint") != path
    }


@dataclass(frozen=True)
class FolderMake:
    """Make a folder, or give it owner, group and mode; what is in it is left as it is."""

    folder: Folder
    found: Found
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
        if self.found.kind != "folder":
            return ""
        return "%s:%s %04o\n" % (self.found.owner, self.found.group, self.found.mode)

    @property
    def after(self) -> str:
        there = self.found.kind == "folder"
        return "%s:%s %04o\n" % (
            self.folder.owner or (self.found.owner if there else "root"),
            self.folder.group or (self.found.group if there else "root"),
            self.folder.mode or (self.found.mode if there else 0o755),
        )

    def apply(self) -> None:
        """Raises OSError."""
        path = self.folder.path
        made = not os.path.isdir(path)
        make_directories(path)
        os.chown(path, self.uid, self.gid)
        if self.folder.mode or made:
            os.chmod(path, self.folder.mode or 0o755)


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """What to say, and what to do, about one observation. Pure."""
    mounts = _mounted_anew(observed.zfs, wanted)
    datasets = [_dataset(observed, one, mounts.get(one.name, "")) for one in wanted.zfs]
    done = {finding.check for finding, actions in datasets if actions}
    covered = {mounts[one.name] for one in wanted.zfs if one.check in done and one.name in mounts}
    judged = [
        _zfs_pools(observed, wanted),
        *datasets,
        *(_folder(observed, one, one.path in covered) for one in wanted.folders),
        _room(observed, wanted, covered),
        *(
            judge_file(check, observed.files[check], path, text)
            for check, (path, text) in wanted.files.items()
        ),
    ]
    return Plan(
        tuple(finding for finding, _actions in judged),
        tuple(action for _finding, some in judged for action in some),
        facts={
            "hf_home": wanted.hf_home,
            "free_gib": {
                one.path: round(observed.folders[one.path].free / _GIB, 1) for one in wanted.folders
            },
        },
    )


def _folder(observed: Observed, folder: Folder, covered: bool) -> Judged:
    found = observed.folders[folder.path]
    wants = [
        "a folder %s" % folder.path,
        *(["of %s" % folder.owner] if folder.owner else []),
        *(["of group %s" % folder.group] if folder.group else []),
        *(["mode %04o" % folder.mode] if folder.mode else []),
    ]
    finding = Finding(folder.check, OK, ", ".join(wants), "as expected")
    if found.kind not in ("folder", "nothing"):
        hint = "Look at what %s is, and move it away." % folder.path
        return replace(finding, status=BLOCKED, severity=CRITICAL, actual=found.kind, hint=hint), ()
    wrong = []
    if found.kind == "nothing":
        wrong.append("there is none")
    else:
        if folder.owner and found.owner != folder.owner:
            wrong.append("it belongs to %s" % found.owner)
        if folder.group and found.group != folder.group:
            wrong.append("it belongs to group %s" % found.group)
        if folder.mode and found.mode != folder.mode:
            wrong.append("mode %04o" % found.mode)
    if covered and found.kind == "folder" and (folder.owner or folder.group or folder.mode):
        # What is seen now will be hidden: a dataset has an owner and a mode of its own.
        wrong = ["a dataset is yet to be mounted there"]
    if not wrong:
        return finding, ()
    fix = "make it" if found.kind == "nothing" else "set that on the folder, not on what is in it"
    finding = replace(finding, status=DRIFT, severity=WARNING, actual="; ".join(wrong), fix=fix)
    missing = [name for name in (folder.owner,) if name and name not in observed.users]
    missing += [name for name in (folder.group,) if name and name not in observed.groups]
    if missing:
        told = "this node knows no %s" % " and no ".join(missing)
        return blocked_by(finding, Blocked(told, "Make that user or group, or name another.")), ()
    if found.read_only:
        obstacle = Blocked("the file system is read-only", "See `dmesg`, and repair it.")
        return blocked_by(finding, obstacle), ()
    gives_away = bool(folder.owner or folder.group) and not observed.root
    if gives_away or not found.writable:
        return blocked_by(finding, Blocked("this user may not", "Run as root (become).")), ()
    uid = observed.users.get(folder.owner, -1)
    gid = observed.groups.get(folder.group, -1)
    seen = replace(found, kind="nothing") if covered else found
    return finding, (FolderMake(folder, seen, uid, gid),)


def _room(observed: Observed, wanted: Wanted, covered: Collection[str]) -> Judged:
    # How much a dataset has is seen once it is there.
    asked = [
        one
        for one in wanted.folders
        if one.free_gib and not any((one.path + "/").startswith(path + "/") for path in covered)
    ]
    told = ", ".join("%g GiB free for %s" % (one.free_gib, one.path) for one in asked)
    finding = Finding("storage_space", OK, told or "any", "none is asked for")
    if not asked:
        return finding, ()
    free = {one.path: observed.folders[one.path].free / _GIB for one in asked}
    actual = ", ".join("%s %.1f GiB" % pair for pair in free.items())
    finding = replace(finding, actual=actual)
    if all(free[one.path] >= one.free_gib for one in asked):
        return finding, ()
    hint = "Remove what is not needed there, models first, or give it a larger disk."
    return replace(finding, status=BLOCKED, severity=CRITICAL, hint=hint), ()


def _zfs_pools(observed: Observed, wanted: Wanted) -> Judged:
    names = list(dict.fromkeys(one.pool for one in wanted.zfs))
    if not names:
        return Finding("zfs_pools", SKIPPED, "any file system", "no ZFS is wanted here"), ()
    finding = Finding("zfs_pools", OK, "%s ONLINE" % ", ".join(names), "as expected")
    zfs = observed.zfs
    wrong, hint = [], "playbooks/provision_disk.yml makes one, of a disk that is empty."
    if not zfs.zfs:
        wrong, hint = ["there is no zfs here"], "Install zfsutils-linux."
    elif zfs.error:
        wrong, hint = [zfs.error], "See that the kernel's module zfs is loaded."
    for name in names if not wrong else ():
        pool = zfs.pools.get(name)
        if not pool:
            wrong.append("there is no pool %s" % name)
        elif pool.health != "ONLINE":
            wrong.append("%s is %s" % (name, pool.health))
            hint = "See zpool status %s." % name
    if not wrong:
        return finding, ()
    actual = "; ".join(wrong)
    return replace(finding, status=BLOCKED, severity=CRITICAL, actual=actual, hint=hint), ()


def _dataset(observed: Observed, dataset: Dataset, mount: str) -> Judged:
    wants = ", ".join("%s=%s" % pair for pair in sorted(dataset.properties.items())) or "any"
    finding = Finding(dataset.check, OK, "%s with %s" % (dataset.name, wants), "as expected")
    zfs = observed.zfs
    if dataset.pool not in zfs.pools:
        return replace(finding, status=SKIPPED, actual="there is no such pool: see zfs_pools"), ()
    found = zfs.properties.get(dataset.name)
    finding = replace(finding, status=DRIFT, severity=WARNING)
    if found is None:
        finding = replace(finding, actual="there is no such dataset", fix="zfs create it")
        options = [word for pair in sorted(dataset.properties.items()) for word in _option(*pair)]
        argv = (zfs.zfs, "create", "-p", *options, dataset.name)
        after = "".join("%s=%s\n" % pair for pair in sorted(dataset.properties.items()))
    else:
        wrong = differing(found, dataset.properties)
        if not wrong:
            return replace(finding, status=OK, severity="info"), ()
        actual = ", ".join("%s=%s" % (name, found.get(name, "-")) for name in sorted(wrong))
        finding = replace(finding, actual=actual, fix="zfs set")
        fixed = [name for name in sorted(wrong) if name in FIXED_PROPERTIES]
        if fixed:
            told = "%s cannot be changed once a dataset is there" % ", ".join(fixed)
            hint = "Make another one with it, copy the data, and rename; or accept what is there."
            return blocked_by(finding, Blocked(told, hint)), ()
        pairs = ["%s=%s" % pair for pair in sorted(wrong.items())]
        argv = (zfs.zfs, "set", *pairs, dataset.name)
        after = "".join("%s\n" % pair for pair in pairs)
    at = observed.folders.get(mount)
    if at and at.kind == "folder" and not at.empty:
        told = "%s is not empty, and a dataset mounted there would hide what is in it" % mount
        return blocked_by(finding, Blocked(told, "Move its contents away first.")), ()
    if not observed.root:
        return blocked_by(finding, Blocked("this user may not", "Run as root (become).")), ()
    before = "".join(
        "%s=%s\n" % (name, found[name])
        for name in sorted(differing(found or {}, dataset.properties))
        if found and name in found
    )
    action: Action = Command(
        dataset.name,
        argv,
        before,
        after,
        (dataset.check,),
        hint="See zfs get all %s; what is written already keeps its old recordsize." % dataset.name,
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
