cimport cython
from libos cimport raw
from libos.capi cimport arrays, names, process, results, storing, submitting
