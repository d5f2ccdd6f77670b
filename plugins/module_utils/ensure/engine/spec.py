# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every spec is made of, so that a module and the audit ask for it in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.exemptions import (
    Exemptions,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import (
    ARGUMENTS,
    ensure,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import OK, SKIPPED, Plan

_WELL = frozenset((OK, SKIPPED))


@dataclass(frozen=True)
class Spec:
    """One thing that a node should be.

    name is the module's without ensure_, options its argument spec without ARGUMENTS, of which
    exactly one of either is required. wanted makes of the options what observe and plan are given,
    and raises ValueError, naming the option, for what cannot be meant; where it is aware it is told
    as well which checks are exempt, and whether what drifts is going to be repaired (act). What is
    costly takes seconds of processor time and much memory; keep has what was observed believed by
    the next one.
    """

    name: str
    options: Mapping[str, Any]
    wanted: Callable[..., Any]
    observe: Callable[[Any], Any]
    plan: Callable[[Any, Any], Plan]
    either: tuple[str, ...] = ()
    aware: bool = False
    costly: bool = False
    keep: Callable[[Any], Any] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What AnsibleModule and ArgumentSpecValidator are told of the options."""
        exclusive = [self.either] if self.either else []
        return {
            "argument_spec": {**self.options, **ARGUMENTS},
            "mutually_exclusive": exclusive,
            "required_one_of": exclusive,
        }

    def functions(
        self, parameters: Mapping[str, Any], act: bool
    ) -> tuple[Callable[[], Any], Callable[[Any], Plan], Callable[[Any], None]]:
        """What the loop runs: observe(), plan(observed), and keep(observed) at the end of a run.

        Raises ValueError as wanted does.
        """
        exempt = Exemptions.given(parameters["skip"], parameters["accepted"])
        own = {name: parameters[name] for name in self.options}
        circumstances = {"exempt": exempt.checks, "act": act} if self.aware else {}
        wanted = self.wanted(**own, **circumstances)

        def plan(observed: Any) -> Plan:
            return exempt.applied(self.plan(observed, wanted))

        def keep(observed: Any) -> None:
            """Only of what is well: whatever is wrong is looked at again each time."""
            well = {finding.status for finding in self.plan(observed, wanted).findings} <= _WELL
            if self.keep and well:
                self.keep(observed)

        return partial(self.observe, wanted), plan, keep


def run(spec: Spec) -> None:
    """The whole of an ensure module."""
    module = AnsibleModule(**spec.arguments, supports_check_mode=True)
    try:
        functions = spec.functions(module.params, act=not module.check_mode)
    except ValueError as error:
        module.fail_json(msg=str(error))
    ensure(module, spec.name, *functions)
