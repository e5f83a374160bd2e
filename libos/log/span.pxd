from libos cimport raw
from libos.log cimport checksum
