"""Paceline: SMS at the pace that senders, carriers and readers can take."""

__version__ = "0.1.0"
