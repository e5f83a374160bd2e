from libos cimport layout, raw
