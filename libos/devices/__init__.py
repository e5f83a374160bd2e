"""Devices that carry Ethernet frames, all with the contract of frame_device.py; nothing here knows a protocol."""
