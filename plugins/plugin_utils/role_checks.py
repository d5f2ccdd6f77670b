# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that the tasks of a role ask of a node, read without running the role.

Ansible has read the tasks, with the play. Variables, tags, conditions and loops have the meaning
that they have when the role runs. A task that says anything else, or that depends on what an
earlier task finds out, cannot be read in this way: it is refused by name, and never left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.block import Block
from ansible.playbook.loop_control import LoopControl
from ansible.playbook.play import Play
from ansible.playbook.role import Role
from ansible.playbook.task import Task
from ansible.template import Templar

ENSURE = "dgxspark.suite.ensure_"
_WAY_OUT = (
    "Change the task, or run the role task by task (dgxspark.suite.site:"
    " -e dgxspark_task_by_task=true; a playbook of your own:"
    " ansible-playbook --check without dgxspark.suite.audit)."
)

# Attributes of a task that mean here what they mean in the role. Any other is refused where it
# differs from the play's and from that of the task that asks for the checks.
_HONOURED = frozenset(
    [
        *("action", "args", "check_mode", "collections", "loop", "loop_control"),
        *("name", "register", "tags", "vars", "when"),
    ]
)
_HONOURED_LOOP = frozenset(("label", "loop_var"))
# Attributes under the name by which a playbook sets them.
_SHOWN = {"async_val": "async"}
# They say whether later tasks run.
_DECIDING = frozenset(("assert", "fail"))
# Their tasks, or variables, are known only while the role runs.
_DYNAMIC = frozenset(("include_role", "include_tasks", "include_vars"))
_HARMLESS_META = frozenset(("flush_handlers", "noop", "role_complete"))
# They set no facts. Of any other module that is not known.
_WITHOUT_FACTS = frozenset(
    ("copy", "debug", "file", "meta", "pause", "set_fact", "slurp", "validate_argument_spec")
)
_WORD = re.compile(r"[A-Za-z_]\w*")
# Not to be searched: all variables of all nodes.
_EVERYTHING = frozenset(("groups", "hostvars", "vars"))


def refuse(role: str, task: Task, what: str) -> NoReturn:
    """Raise AnsibleError about a task that cannot be read; what: an attribute or module."""
    raise AnsibleError(
        f"{role}: task {_named(task)!r}: {what}. A check of the role in one task cannot honour"
        f" that. {_WAY_OUT}"
    )


def _named(task: Task) -> str:
    return str(task.name or task.action)


def find_role(play: Play, name: str) -> Role:
    """The role of that name under the play's roles. Raises AnsibleError unless there is one."""
    roles = [role for role in play.get_roles() if role.get_name() == name and not role.from_include]
    if len(roles) != 1:
        number = "more than once" if roles else "not at all"
        raise AnsibleError(f"the play must name role {name} under roles once, and does {number}")
    return roles[0]


class RoleChecks:
    """The checks of one role for one node.

    asking: the task on whose behalf the node is asked, finalized for that node.
    """

    def __init__(self, role: str, node: str, asking: Task, loader: Any) -> None:
        self.role, self.asking, self.loader = role, asking, loader
        self.play: Play = asking.get_play()
        self.manager = self.play.get_variable_manager()
        self.host = self.manager._inventory.get_host(node)
        self.plain = Task()
        # Variables that tasks set, which have not run, and what sets each.
        self.set_by: dict[str, str] = {}

    def specs(self) -> tuple[list[dict[str, Any]], list[str]]:
        """(one {spec, options} for each run of an ensure module in the order of the role, the
        names of specs whose task, or an item of its loop, is skipped).

        Raises AnsibleError for what is refused, and for variables that are not defined.
        """
        specs: list[dict[str, Any]] = []
        skipped: list[str] = []
        self._refuse_handlers()
        for task, rescued in _tasks(find_role(self.play, self.role).compile(play=self.play)):
            known = self._known(task)
            if not task.evaluate_tags(self.play.only_tags, self.play.skip_tags, all_vars=known):
                continue
            action = _action(task)
            if not action.startswith(ENSURE):
                self._other(task, action)
                continue
            if rescued:
                refuse(self.role, task, "its block has a rescue")
            self._refuse_attributes(task, known)
            self._refuse_unknown(task, known)
            spec = action.removeprefix(ENSURE)
            for options in self._options(task, known) or [None]:
                if options is None:
                    skipped.append(spec)
                else:
                    specs.append({"spec": spec, "options": options})
            self._sets(_registered(task), task)
        return specs, skipped

    def _known(self, task: Task) -> dict[str, Any]:
        known = self.manager.get_vars(play=self.play, host=self.host, task=task)
        # Whatever asks for the checks: a task that is conditional on it means this.
        return {**known, "ansible_check_mode": True}

    def _sets(self, names: set[str], task: Task) -> None:
        self.set_by.update(dict.fromkeys(names, _named(task)))

    def _other(self, task: Task, action: str) -> None:
        """Note what a task of another module would set, or refuse it for what it would decide."""
        module = action.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")
        if module in _DYNAMIC:
            refuse(self.role, task, f"{action}: what it includes is unknown until the role runs")
        if module in _DECIDING:
            refuse(self.role, task, f"{action}: it decides whether later tasks run")
        if module == "meta" and task.args.get("_raw_params") not in _HARMLESS_META:
            refuse(self.role, task, f"meta: {task.args.get('_raw_params')}")
        names = _registered(task)
        if module == "set_fact":
            if "_variable_params" in task.args or any("{" in name for name in task.args):
                refuse(self.role, task, "set_fact: the names that it sets are templates")
            names |= set(task.args) - {"cacheable"}
        if module not in _WITHOUT_FACTS:
            names.add("ansible_facts")
        self._sets(names, task)

    def _refuse_handlers(self) -> None:
        for task, _rescued in _tasks([*self.play.handlers, *self.play.compile_roles_handlers()]):
            if _action(task).startswith(ENSURE):
                refuse(self.role, task, "it is a handler")

    def _refuse_attributes(self, task: Task, known: Mapping[str, Any]) -> None:
        for name in task.fattributes:
            if name in _HONOURED or name in _SHOWN.values() or self._is_everybodys(task, name):
                continue
            shown = f"with_{task.loop_with}" if name == "loop_with" else _SHOWN.get(name, name)
            refuse(self.role, task, shown)
        if "_variable_params" in task.args:
            refuse(self.role, task, "args: all of them are one template")
        if self._acts_in_check_mode(task, known):
            refuse(self.role, task, "check_mode: the task acts even in check mode")
        if task.loop_control:
            plain = LoopControl()
            for name in sorted(set(plain.fattributes) - _HONOURED_LOOP):
                if getattr(task.loop_control, name) != getattr(plain, name):
                    refuse(self.role, task, f"loop_control: {name}")

    def _is_everybodys(self, task: Task, name: str) -> bool:
        """Whether an attribute is unset, or the same for the play or for the task that asks."""
        value = _set(task, name)
        if name == "module_defaults":
            return value is None
        others = [
            _set(owner, name)
            for owner in (self.plain, self.play, self.asking)
            if name in owner.fattributes
        ]
        # Where the play sets it, a task that takes that back differs, too.
        return value in (others[1:] if name in self.play.fattributes else others)

    def _acts_in_check_mode(self, task: Task, known: Mapping[str, Any]) -> bool:
        """Whether a task, a block or the role says check_mode: false, if only by a template."""
        value = task.check_mode
        if isinstance(value, str):
            value = self._templar(known).template(value)
            return not boolean(value, strict=False)
        return value is False and _explicit(task, "check_mode")

    def _refuse_unknown(self, task: Task, known: Mapping[str, Any]) -> None:
        """Refuse a task that mentions a variable which an earlier task would have set."""
        if not self.set_by:
            return
        expressions = [str(condition) for condition in task.when]
        mentioned = _mentioned((task.args, task.loop, task.check_mode), expressions, known)
        for name in sorted(mentioned & self.set_by.keys()):
            setter = self.set_by[name]
            refuse(self.role, task, f"it uses the variable {name}, which task {setter!r} sets")

    def _options(self, task: Task, known: Mapping[str, Any]) -> list[dict[str, Any] | None]:
        """The options of the task for each item of its loop; None where its condition skips it."""
        if task.loop is None:
            return [self._run(task, known)]
        name = task.loop_control.loop_var if task.loop_control else "item"
        items = self._templar(known).template(task.loop)
        if not isinstance(items, list):
            refuse(self.role, task, f"loop: {items!r} is not a list")
        runs = ({**known, name: item, "ansible_loop_var": name} for item in items)
        return [self._run(task, own) for own in runs]

    def _run(self, task: Task, known: Mapping[str, Any]) -> dict[str, Any] | None:
        templar = self._templar(known)
        if all(templar.evaluate_conditional(condition) for condition in task.when):
            return dict(templar.template(task.args))
        return None

    def _templar(self, known: Mapping[str, Any]) -> Templar:
        return Templar(self.loader, variables=dict(known))


def _set(owner: Any, name: str) -> Any:
    """The value of an attribute, None where it says nothing."""
    value = getattr(owner, name)
    says_nothing = value in ([], {}, "") or (
        value is False and owner.fattributes[name].isa == "bool"
    )
    return None if says_nothing else value


def _action(task: Task) -> str:
    return str(task.resolved_action or task.action)


def _registered(task: Task) -> set[str]:
    """The variables that a task registers: one by its name, or several by a mapping."""
    registered = task.register or {}
    return {registered} if isinstance(registered, str) else set(registered)


def _explicit(task: Task, attribute: str) -> bool:
    """Whether the task, a block around it or its role sets an attribute, and not the play."""
    owners: list[Any] = [task._role] if task._role else []
    owner: Any = task
    while owner is not None:
        owners.append(owner)
        owner = owner._parent
    return any(isinstance(getattr(one, f"_{attribute}", None), (bool, str)) for one in owners)


def _tasks(blocks: list[Block], rescued: bool = False) -> Iterator[tuple[Task, bool]]:
    """Each task in the order of a run without failures, and whether a rescue belongs to it."""
    for block in blocks:
        within = rescued or bool(block.rescue)
        for entry in (*block.block, *block.rescue, *block.always):
            if isinstance(entry, Block):
                yield from _tasks([entry], within)
            else:
                yield entry, within


def _mentioned(values: Any, expressions: list[str], known: Mapping[str, Any]) -> set[str]:
    """Every word in templates and expressions, and in those of the variables that they name."""
    words: set[str] = set()
    texts = [*expressions, *_templates(values)]
    while texts:
        new = set(_WORD.findall(texts.pop())) - words
        words |= new
        for name in new & known.keys() - _EVERYTHING:
            texts += _templates(known[name])
    return words


def _templates(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            yield value
    elif isinstance(value, Mapping):
        for entry in (*value.keys(), *value.values()):
            yield from _templates(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _templates(entry)
