"""The core of PDPIX over raw memory: records of operations and queues, and what is done with them without the GIL."""
