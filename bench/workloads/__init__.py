"""The workloads, in the order of the tables. Each module adds its own to measure.WORKLOADS."""
from . import noop, sync, update, whole, enqueue, latency, flatness, resources, trouble, clearing, console, push  # noqa: F401
