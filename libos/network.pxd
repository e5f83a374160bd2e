from libos cimport layout, raw, relay
from libos.net cimport structs
