"""Hypothesis: bounded, and the same at each run. HYPOTHESIS_PROFILE=explore looks further, anew each time."""

import os

from hypothesis import HealthCheck, Phase, settings

UNTIMED = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)

# A failing example is not made smaller in the gate: with runs as examples that takes minutes.
FOUND_AS_IS = [Phase.explicit, Phase.generate]

settings.register_profile(
    "gate", UNTIMED, derandomize=True, database=None, max_examples=100, phases=FOUND_AS_IS
)
settings.register_profile("explore", UNTIMED, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))
