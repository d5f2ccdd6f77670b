# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Our keys in an environment file that is also edited by others: /etc/dgxspark/paths.env.

The file is read by shells (`set -a; . FILE`) and by systemd (EnvironmentFile=); the common syntax
is written. Every line that is not an assignment of a changed key stays unchanged.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    locked,
    obstacle_to,
    own_folder,
    read_regular,
    real_file,
    rightful_owner,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked

MODE = 0o644
HEADER = "# Absolute paths for the launchers of dgxspark.suite. Other lines are left alone.\n"

# A working ptxas of the node, and the variables that Triton reads: up to 3.5 the first one for
# sm_121, later the second.
PTXAS_BIN = "PTXAS_BIN"
PINS = ("TRITON_PTXAS_PATH", "TRITON_PTXAS_BLACKWELL_PATH")

# All keys that our modules write into paths.env; none of them is a secret.
KNOWN_KEYS = frozenset(
    {
        *("NVCC_BIN", PTXAS_BIN, "NVIDIA_SMI_BIN", "DOCKER_BIN"),
        *("VLLM_BIN", "RAY_BIN", "PY_BIN", "PIP_BIN"),
        *PINS,
    }
)

_LIMIT = 1 << 20
_ASSIGNMENT = re.compile(
    r"\s*(?P<export>export\s+)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL
)
_PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./-]+")


@dataclass(frozen=True)
class EnvFile:
    """The state of the file.

    path is the real file behind links of root's; text is None if there is no file. unwritable: why
    it cannot be replaced, or created together with its directory; None if it can.
    """

    path: str
    text: str | None = None
    mode: int = MODE
    owner: int = 0
    unwritable: Blocked | None = None

    @classmethod
    def read(cls, path: str) -> EnvFile:
        """Raises Blocked if it is not a readable UTF-8 text file of complete assignments."""
        try:
            path = real_file(path)
            data, status = read_regular(path, _LIMIT)
            if len(data) > _LIMIT:
                raise Blocked(
                    "%s has %d bytes" % (path, status.st_size),
                    "Check what it is: a few lines of KEY=/path belong there.",
                )
        except FileNotFoundError:
            return cls(path, unwritable=obstacle_to(path))
        except OSError as error:
            raise Blocked(
                "%s cannot be read: %s" % (path, error.strerror),
                "Run as root (become), and check that every part of the path is a directory.",
            ) from error
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Blocked(
                "%s is not UTF-8 text (byte %d)" % (path, error.start),
                "Restore it or move it away; an unreadable file is never overwritten.",
            ) from error
        if "\0" in text:
            raise Blocked(
                "%s contains NUL bytes" % path,
                "Restore it or move it away; a crash may have left it half-written.",
            )
        mode = stat.S_IMODE(status.st_mode)
        file = cls(path, text, mode, status.st_uid, obstacle_to(path))
        file.values()  # raises if the text is truncated
        return file

    def values(self) -> dict[str, str]:
        """The assignments; the last one of a key wins. Nothing is expanded.

        Raises Blocked for an unclosed quote: the file is probably truncated.
        """
        values = {}
        for line in _logical_lines(self.text or ""):
            key, _prefix, value = _assignment(line)
            if key:
                values[key] = value
        return values

    def excerpt(self, keys: Mapping[str, object]) -> str:
        """The lines of these keys, which a diff may show; other lines may be secret."""
        lines = _logical_lines(self.text or "")
        return "".join(line.rstrip("\n") + "\n" for line in lines if _assignment(line)[0] in keys)

    @property
    def permissions_ok(self) -> bool:
        """Whether mode and owner are right."""
        return self.mode == MODE and self.owner == rightful_owner(self.owner)

    def obstacle(self, keys: Collection[str]) -> Blocked | None:
        """Why the file must not be replaced; None if it may be. keys are all of our keys."""
        if self.unwritable:
            return self.unwritable
        others = self._others(keys)
        if self.mode & stat.S_IROTH or not others:
            return None
        return Blocked(
            "%s is not readable by everybody (mode %04o), and has other entries: %s"
            % (self.path, self.mode, ", ".join(others)),
            "Launchers of all users read it: move secrets to another file, then chmod %04o %s."
            % (MODE, self.path),
        )

    def _others(self, keys: Collection[str]) -> list[str]:
        """The names of other entries; a comment may be a secret as well."""
        lines = _logical_lines(self.text or "")
        assigned = [line for line in lines if line.strip() and line != HEADER]
        named = {_assignment(line)[0] or "other text" for line in assigned}
        return sorted(named.difference(keys, KNOWN_KEYS))

    def changed(self, changes: Mapping[str, str | None]) -> EnvFile:
        """A copy with keys set, or removed if the value is None; mode and owner corrected."""
        lines: list[str] = []
        pending = dict(changes)
        # Backwards: the last assignment counts and is set, earlier ones are removed.
        for line in reversed(_logical_lines(self.text or "")):
            key, prefix, value = _assignment(line)
            wanted = changes.get(key)
            if key not in changes or (wanted is not None and key in pending and value == wanted):
                lines.append(line)
            elif wanted is not None and key in pending:
                lines.append(_rendered(prefix, key, wanted))
            pending.pop(key, None)
        lines.reverse()
        added = {key: value for key, value in pending.items() if value is not None}
        if added and not lines:
            lines.append(HEADER)
        elif added and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        lines += [_rendered("", key, added[key]) for key in sorted(added)]
        text = "".join(lines) if lines or self.text is not None else None
        return replace(self, text=text, mode=MODE, owner=rightful_owner(self.owner))


@dataclass(frozen=True)
class EnvEdit:
    """The planned edit of an environment file, see EnvFile.changed. keys are all of our keys."""

    file: EnvFile
    changes: Mapping[str, str | None]
    keys: Collection[str]
    repairs: tuple[str, ...]

    @property
    def subject(self) -> str:
        return self.file.path

    @property
    def before(self) -> str:
        return self._shown(self.file)

    @property
    def after(self) -> str:
        return self._shown(self.file.changed(self.changes))

    def apply(self) -> None:
        """Replace the file atomically. Raises OSError or Blocked, and then nothing has changed.

        The file is read again under the lock, so that other edits are not lost.
        """
        directory, name = os.path.split(self.file.path)
        with locked(directory), own_folder(directory) as folder:
            current = EnvFile.read(self.file.path)
            obstacle = current.obstacle(self.keys)
            if obstacle:
                raise obstacle
            wanted = current.changed(self.changes)
            if wanted.text is not None:
                folder.replace(name, wanted.text.encode(), wanted.mode, wanted.owner)

    def _shown(self, file: EnvFile) -> str:
        lines = file.excerpt(self.changes)
        if self.file.text is not None and not self.file.permissions_ok:
            lines += "# mode %04o, owner %d\n" % (file.mode, file.owner)
        return lines


def _logical_lines(text: str) -> list[str]:
    """Split text at line ends that are not quoted or escaped; the parts joined are text."""
    lines = []
    start = at = 0
    quote = ""
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'":
            at += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "#" and (at == start or text[at - 1].isspace()):
            # In a comment a quote has no meaning.
            at = text.find("\n", at)
            at = len(text) - 1 if at < 0 else at
            char = text[at]
        if char == "\n" and not quote:
            lines.append(text[start : at + 1])
            start = at + 1
        at += 1
    if quote:
        number = text.count("\n", 0, start) + 1
        raise Blocked(
            "line %d has an unclosed quote" % number,
            "Close the quote; the file may be truncated there.",
        )
    return lines + ([text[start:]] if start < len(text) else [])


def _assignment(line: str) -> tuple[str, str, str]:
    """(key, export prefix, value) of a line, or three empty strings."""
    match = _ASSIGNMENT.fullmatch(line)
    if not match:
        return "", "", ""
    return match["key"], match["export"] or "", _first_word(match["value"])


def _first_word(text: str) -> str:
    """A value without quotes, as a shell reads it; a carriage return is part of it."""
    word = ""
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'":
            at += 1
            escaped = text[at : at + 1]
            if quote and escaped not in '"\\$`\n':
                word += "\\" + escaped
            elif escaped != "\n":
                word += escaped or "\\"
        elif char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
        elif not quote and char in " \t\n":
            break
        else:
            word += char
        at += 1
    return word


def _rendered(prefix: str, key: str, value: str) -> str:
    if not value or any(char in value for char in "\0\r\n"):
        raise ValueError("%s cannot be set to %r" % (key, value))
    if not _PLAIN.fullmatch(value):
        value = '"%s"' % re.sub(r'(["\\$`])', r"\\\1", value)
    return "%s%s=%s\n" % (prefix, key, value)
