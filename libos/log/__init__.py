"""The log: a machine over a block device. Imports nothing but itself, the heap and raw memory."""
