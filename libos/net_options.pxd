from libos.net cimport structs
from libos.net.tcp cimport user
from libos.net.tcp.engine cimport Engine

cpdef set_number(Engine tcp, size_t record, int name, unsigned int value)
