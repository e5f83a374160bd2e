from interpose cimport sockaddr
from libos cimport raw
