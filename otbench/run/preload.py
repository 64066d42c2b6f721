"""What the suite's processes share, loaded before they are copied from one another."""

from __future__ import annotations


def load() -> None:
    """Import the worker and the checks, and parse the suite's own tasks and metrics.

    No plugin is imported or digested: each process looks at those itself.
    """
    from otbench.plugins.fingerprint import code_digest
    from otbench.plugins.registry import OWN_DISTRIBUTION, Registry
    from otbench.run import preflight, worker  # noqa: F401
    from otbench.run.provenance import libraries
    from otbench.scoring.digests import SCORING

    libraries()
    for registry in (Registry("tasks"), Registry("metrics")):
        for plugin in map(registry.get, registry.names()):
            if plugin.distribution == OWN_DISTRIBUTION:
                code_digest(plugin.module, shared=SCORING)
