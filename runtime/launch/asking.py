"""Whether model hosts serve what nodes ask for, and from the folder by which they read answers."""

from __future__ import annotations

from collections.abc import Iterable

from olympus.runtime.errors import did_you_mean
from olympus.runtime.launch.findings import Finding
from olympus.runtime.launch.plan import LaunchPlan, joined
from olympus.runtime.launch.timing import measured


def misasked(plan: LaunchPlan, findings: Iterable[Finding]) -> list[str]:
    """Return a sentence for each model that is asked where it, or its folder, is not served.

    Args:
        plan: The launch.
        findings: What the nodes' classes say.
    """
    folder = plan.file.parent
    by_id = {finding.id: finding for finding in findings}
    names = {joined(node.namespace, node.name): node.id for node in plan.nodes.values()}
    told: list[str] = []
    for finding in by_id.values():
        for host, model in finding.asked.items():
            asks = f"{finding.id} asks {host} for {model}"
            if (keeper := by_id.get(names.get(host, ""))) is None:
                told.append(f"{asks}: no node here is called so; {did_you_mean(host, names)}")
                continue
            wanted = measured(model, folder)
            served = [(one, measured(one, folder)) for one in keeper.models]
            kept = {known.name or one: known for one, known in served}
            name = wanted.name or model
            if name not in kept:
                told.append(f"{asks}, which it does not serve; {did_you_mean(name, kept)}")
            elif kept[name].place != wanted.place:
                told.append(
                    f"{asks}, but it serves {kept[name].place}: where the two folders' answers do "
                    "not mean the same, the first one is refused; name the same folder in both"
                )
    return told
