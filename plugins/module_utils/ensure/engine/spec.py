# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The parts of a spec, so that its module and the audit run it in the same way."""

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
    exemptions,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    OK,
    SKIPPED,
    Finding,
    Plan,
)

_PASSED = frozenset((OK, SKIPPED))

# The option of specs that are of use for one way of serving alone.
CONTAINERS, VENV, BOTH = "containers", "venv", "both"
SERVE_FROM: dict[str, Any] = {
    "serve_from": {"type": "str", "choices": [CONTAINERS, VENV, BOTH], "default": BOTH}
}


@dataclass(frozen=True)
class Spec:
    """The checks and repairs of one module.

    name is the module's name without ensure_, options its argument spec without ARGUMENTS; exactly
    one option of either is required. wanted converts the options to what observe and plan get, and
    raises ValueError, naming the option, for an invalid value; with needs_context it also gets the
    exempt check ids and whether drift is going to be repaired (act). A costly spec takes seconds of
    processor time and much memory; store(observed) caches its answers for the next run. A spec with
    the option of SERVE_FROM does not apply to a virtual environment from which nothing is served.
    """

    name: str
    options: Mapping[str, Any]
    wanted: Callable[..., Any]
    observe: Callable[[Any], Any]
    plan: Callable[[Any, Any], Plan]
    either: tuple[str, ...] = ()
    needs_context: bool = False
    costly: bool = False
    store: Callable[[Any], Any] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of AnsibleModule and ArgumentSpecValidator."""
        exclusive = [self.either] if self.either else []
        return {
            "argument_spec": {**self.options, **ARGUMENTS},
            "mutually_exclusive": exclusive,
            "required_one_of": exclusive,
        }

    def functions(
        self, parameters: Mapping[str, Any], exempt: Exemptions, act: bool
    ) -> tuple[Callable[[], Any], Callable[[Any], Plan], Callable[[Any], None]]:
        """What the loop calls: observe(), plan(observed), and store(observed) at the end of a run.

        The plan is without exemptions: the loop applies them. Raises ValueError as wanted does.
        """
        if parameters.get("serve_from") == CONTAINERS and not parameters.get("image"):
            return self._inapplicable("models are served from containers (dgxspark_serve_from)")
        own = {name: parameters[name] for name in self.options if name not in SERVE_FROM}
        context = {"exempt": exempt.checks, "act": act} if self.needs_context else {}
        wanted = self.wanted(**own, **context)

        def plan(observed: Any) -> Plan:
            return self.plan(observed, wanted)

        def store(observed: Any) -> None:
            """Cache only what passes: a failed check is repeated by each run."""
            statuses = {finding.status for finding in plan(observed).findings}
            if self.store and statuses <= _PASSED:
                self.store(observed)

        return partial(self.observe, wanted), plan, store

    def _inapplicable(
        self, reason: str
    ) -> tuple[Callable[[], Any], Callable[[Any], Plan], Callable[[Any], None]]:
        """The functions of a spec that is skipped completely; the node is not inspected."""
        why = Finding(self.name, SKIPPED, "not applicable", "not applicable: %s" % reason)
        return lambda: None, lambda _observed: Plan((why,)), lambda _observed: None


def run(spec: Spec) -> None:
    """The main function of an ensure module."""
    module = AnsibleModule(**spec.arguments, supports_check_mode=True)
    exempt = exemptions(module)
    try:
        observe, plan, store = spec.functions(module.params, exempt, act=not module.check_mode)
    except ValueError as error:
        module.fail_json(msg=str(error))
    ensure(module, spec.name, observe, plan, exempt, store)
