"""Benchmarks: both sides in one run, turn and turn about; ratios, minimum and median of blocks, machine and mode."""
