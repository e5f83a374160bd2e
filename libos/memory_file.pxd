from libos cimport raw
