"""A demo shop with a past, made through the services and told to the simulator's books."""

from apps.operations.demo.seeding import DemoReport, SimulatorNeeded, seed

__all__ = ["DemoReport", "SimulatorNeeded", "seed"]
