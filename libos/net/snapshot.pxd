cimport cython
from libos cimport raw
from libos.net cimport octets, structs
