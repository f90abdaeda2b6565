"""The planted truth: everything that an analysis of the simulated telemetry should find again.

Effects are multipliers on a probability, a rate or a duration of the simulated assistant. Nothing
else depends on the variant, and no probability is ever clipped, so a multiplier is also the exact
relative effect on the metric that measures it. The names are those of the default declarations; a
test compares the two.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Experiment:
    """An experiment as the assistant runs it; the first variant is the control."""

    name: str
    variants: tuple[str, ...]
    allocation: tuple[float, ...]


EXPERIMENTS: Final = (
    Experiment("concise-answers", ("control", "treatment"), (0.5, 0.5)),
    Experiment("chat-model", ("large", "small", "fast"), (0.34, 0.33, 0.33)),
    Experiment("inline-ranking", ("control", "treatment"), (0.5, 0.5)),
    Experiment("sidebar-layout", ("control", "treatment"), (0.5, 0.5)),
    Experiment("quick-actions", ("control", "treatment"), (0.5, 0.5)),
)
EXPERIMENT_NAMES: Final = tuple(experiment.name for experiment in EXPERIMENTS)

# (experiment, variant) -> mechanism -> multiplier. A mechanism that is not listed is untouched.
MULTIPLIERS: Final[dict[tuple[str, str], dict[str, float]]] = {
    ("concise-answers", "treatment"): {"regeneration": 0.85, "copy": 1.08},
    ("chat-model", "small"): {"latency": 0.55},
    ("chat-model", "fast"): {"latency": 0.70},
    ("inline-ranking", "treatment"): {"acceptance": 1.08},
    ("quick-actions", "treatment"): {"turns": 1.06},
}
MECHANISMS: Final = ("regeneration", "copy", "latency", "acceptance", "turns")
METRIC_MECHANISM: Final = {
    "regeneration_rate": "regeneration",
    "copy_rate": "copy",
    "turn_latency": "latency",
    # all latencies are multiplied, so that every quantile is
    "turn_latency_p90": "latency",
    "acceptance_rate": "acceptance",
    "turns_per_user": "turns",
}
EXPERIMENT_METRICS: Final[dict[str, tuple[str, ...]]] = {
    "concise-answers": (
        "regeneration_rate",
        "copy_rate",
        "turns_per_user",
        "positive_feedback_rate",
    ),
    "chat-model": (
        "turn_latency",
        "cost_per_turn",
        "positive_feedback_rate",
        "turn_error_rate",
        "turn_latency_p90",
    ),
    "inline-ranking": ("acceptance_rate", "edit_survival", "active_days_per_user"),
    "sidebar-layout": (
        "turns_per_user",
        "retention_day_7",
        "acceptance_rate",
        "suggestion_funnel",
    ),
    "quick-actions": ("turns_per_user", "tool_success_rate"),
}

# The model that each variant of chat-model serves, with its price in USD per million tokens
# (input, output). Token counts do not depend on the model.
MODELS: Final = ("assist-large", "assist-small", "assist-fast")
MODEL_PRICES_USD: Final = ((3.00, 12.00), (0.25, 1.25), (0.80, 4.00))
MEAN_INPUT_TOKENS: Final = 1200.0
MEAN_OUTPUT_TOKENS: Final = 300.0

# Faults of the experiments themselves (not of the delivery).
# 20%, because with the default 2,000 users a loss of 12% has a median p-value of 0.006, which a
# sample-ratio check at its usual 0.001 or below would miss most of the time.
UNREPORTED_EXPERIMENT: Final = "quick-actions"
UNREPORTED_VARIANT: Final = "treatment"
UNREPORTED_SHARE: Final = 0.20
TWO_VARIANT_SHARE: Final = 0.01
ERROR_EVALUATION_SHARE: Final = 0.015

# Preferences. The shares are the popularity of each value among the users; they are skewed, so
# popularity is a fair baseline, yet far from certain, so that knowing the person beats it.
PLANS: Final = ("free", "team", "enterprise")
PLAN_SHARES: Final = (0.5, 0.3, 0.2)
ROLES: Final = ("developer", "analyst", "student")
ROLE_SHARES: Final = (0.6, 0.2, 0.2)
STYLES: Final = ("concise", "detailed")
STYLE_POPULARITY: Final = (0.38, 0.62)
FORMATS: Final = ("prose", "bullets", "code_first")
TASKS: Final = ("explain", "write", "fix")
FORMAT_POPULARITY: Final = ((0.50, 0.30, 0.20), (0.18, 0.30, 0.52), (0.22, 0.46, 0.32))
SUGGESTION_STYLES: Final = ("plain", "commented")
SUGGESTION_STYLE_POPULARITY: Final = (0.65, 0.35)
LANGUAGES: Final = ("python", "typescript", "java", "sql")
LANGUAGE_SHARES: Final = (0.4, 0.3, 0.2, 0.1)
MAIN_LANGUAGE_SHARE: Final = 0.75
# Chance that a user's taste in one language differs from the taste in general.
LANGUAGE_TASTE_FLIP: Final = 0.2
TASK_SHARES_BY_ROLE: Final = ((0.30, 0.40, 0.30), (0.50, 0.30, 0.20), (0.55, 0.20, 0.25))

# What the assistant serves where no decision is made. Independent of the user, so that every
# value is tried on everybody.
SERVED_STYLE_SHARES: Final = (0.5, 0.5)
SERVED_FORMAT_SHARES: Final = (0.5, 0.25, 0.25)
SERVED_SUGGESTION_STYLE_SHARES: Final = (0.5, 0.5)

# Outcome probabilities: a base, times a factor for (mismatch, match) with the preference, times a
# personal factor within USER_LIFT_RANGE. The largest product stays below 1 (a test proves it).
BASE_COPY: Final = 0.26
COPY_STYLE_FACTOR: Final = (0.72, 1.25)
COPY_FORMAT_FACTOR: Final = (0.65, 1.35)
COPY_TASK_FORMAT_FACTOR: Final = ((1.00, 1.08, 0.80), (0.75, 0.90, 1.15), (0.80, 1.00, 1.12))
BASE_REGENERATION: Final = 0.13
REGENERATION_STYLE_FACTOR: Final = (1.30, 0.70)
REGENERATION_FORMAT_FACTOR: Final = (1.35, 0.65)
BASE_ACCEPTANCE: Final = 0.30
ACCEPTANCE_STYLE_FACTOR: Final = (0.60, 1.45)
USER_LIFT_RANGE: Final = (0.75, 1.25)
UNDECIDED_SHARE: Final = 0.04
FEEDBACK_SHARE: Final = 0.06
POSITIVE_FEEDBACK_BASE: Final = 0.50
POSITIVE_FEEDBACK_PER_MATCH: Final = 0.18
SURVIVAL_SHARE: Final = 0.4
SURVIVAL_BETA: Final = ((5.0, 2.4), (7.0, 1.8))
TURN_ERROR_SHARE: Final = 0.03
TOOL_SHARE: Final = 0.3
TOOL_ERROR_SHARE: Final = 0.06
MEAN_TURN_SECONDS: Final = 4.0
TOOL_LATENCY_FACTOR: Final = 1.5

# Activity.
WEEKDAY_FACTORS: Final = (1.15, 1.15, 1.15, 1.15, 1.10, 0.50, 0.55)
ACTIVE_PROBABILITY_BETA: Final = (1.2, 2.2)
MAX_ACTIVE_PROBABILITY: Final = 0.85
MEAN_TURNS_PER_ACTIVE_DAY: Final = 2.0
MEAN_SUGGESTIONS_PER_ACTIVE_DAY: Final = 3.0
SUGGESTION_FACTOR_BY_ROLE: Final = (1.3, 0.8, 0.7)
HEAVY_TAIL_SIGMA: Final = 0.8
TWIN_SHARE: Final = 0.25

# Identity, consent and controls (shares of all users unless stated).
ANONYMOUS_SHARE: Final = 0.10
UNLINK_SHARE_OF_ANONYMOUS: Final = 0.04
PERSONALIZATION_GRANT_SHARE: Final = 0.70
GRANT_ON_FIRST_DAY_SHARE: Final = 0.8
PERSONALIZATION_REFUSAL_SHARE: Final = 0.05
WITHDRAWAL_SHARE_OF_GRANTED: Final = 0.08
MEASUREMENT_WITHDRAWAL_SHARE: Final = 0.02
STATED_PREFERENCE_SHARE: Final = 0.08
CLEARED_SHARE_OF_STATED: Final = 0.12
ERASURE_SHARE: Final = 0.004

# The decision point. The logged policy takes the favourite of the task with probability
# 1 - epsilon and any action (the favourite included) with epsilon.
DECISION_POINT: Final = "reply-format"
DECISION_SHARE: Final = 0.5
LOGGED_FAVOURITES: Final = (0, 2, 1)
LOGGED_EPSILON: Final = 0.3

# Faults of the delivery.
LATE_SHARE: Final = 0.005
LATE_IDENTIFICATION_SHARE: Final = 0.2
MAX_LATE_DAYS: Final = 3
DUPLICATE_RECORD_SHARE: Final = 0.002
DUPLICATE_LINE_SHARE: Final = 0.01
RESENT_UID_SHARE: Final = 0.1
UNDECLARED_EVENTS_PER_USER_DAY: Final = 0.01
CONTENT_SHARE: Final = 0.02
INTERNAL_UNITS: Final = 2
BOT_UNITS: Final = 3
RECORDS_PER_LINE: Final = 512


@dataclass(frozen=True)
class Effect:
    """A planted effect: `absolute` is None where it depends on who the users happen to be."""

    experiment_name: str
    metric_name: str
    variant: str
    relative: float
    absolute: float | None


def logged_probabilities(task: int) -> tuple[float, ...]:
    """Probabilities with which the logged policy takes each format for a task (an index)."""
    share = LOGGED_EPSILON / len(FORMATS)
    return tuple(
        round(share + (1 - LOGGED_EPSILON) * (action == LOGGED_FAVOURITES[task]), 6)
        for action in range(len(FORMATS))
    )


def relative_effect(experiment_name: str, metric_name: str, variant: str) -> float:
    """True relative effect of a variant against its control, 0.0 where nothing is planted."""
    if metric_name == "cost_per_turn":
        if experiment_name != "chat-model":
            return 0.0
        costs = [
            MEAN_INPUT_TOKENS * price_in + MEAN_OUTPUT_TOKENS * price_out
            for price_in, price_out in MODEL_PRICES_USD
        ]
        return costs[EXPERIMENTS[1].variants.index(variant)] / costs[0] - 1
    mechanism = METRIC_MECHANISM.get(metric_name, "")
    multipliers = MULTIPLIERS.get((experiment_name, variant), {})
    return round(multipliers.get(mechanism, 1.0) - 1, 12)


def planted_effects() -> list[Effect]:
    """Every declared metric of every experiment with its true effect, one per treatment variant."""
    effects = []
    for experiment in EXPERIMENTS:
        for metric_name in EXPERIMENT_METRICS[experiment.name]:
            for variant in experiment.variants[1:]:
                relative = relative_effect(experiment.name, metric_name, variant)
                absolute = 0.0 if relative == 0 else None
                effects.append(Effect(experiment.name, metric_name, variant, relative, absolute))
    return effects
