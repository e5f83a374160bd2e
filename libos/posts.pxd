from libos.net cimport structs
