from libos cimport layout, raw
from interpose cimport sockaddr
