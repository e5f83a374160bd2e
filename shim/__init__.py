"""What people type: the launcher and its helpers. Starts processes; of libos only configuration, mode, layout."""

__version__ = "0.1.0"
