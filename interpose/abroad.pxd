from libos cimport raw
from interpose cimport sockaddr
