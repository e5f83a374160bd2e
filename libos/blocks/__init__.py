"""Block devices: one contract, memory and io_uring behind it."""
