"""The C face of PDPIX: what include/demi/*.h declares, on the compiled core (libos/core)."""
