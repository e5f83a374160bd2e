cimport cython
from libos cimport raw

# no timeval is too long for Python's numbers
@cython.locals(seconds=object, micros=object)
cpdef changed(object description, object level, object option, object address, object length)
