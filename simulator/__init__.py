"""An assistant's users with a planted truth, as OTLP telemetry: for demo, tests and benchmark."""

from simulator.outcomes import unit_totals
from simulator.planted import Effect, planted_effects
from simulator.simulation import FileReport, SimulationReport, simulate

__all__ = [
    "Effect",
    "FileReport",
    "SimulationReport",
    "planted_effects",
    "simulate",
    "unit_totals",
]
