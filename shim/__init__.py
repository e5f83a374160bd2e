"""What people type: the launcher and its helpers. Starts processes; imports libos for configuration and mode only."""

__version__ = "0.1.0"
