from interpose cimport sockaddr
from libos cimport calls, layout, raw
