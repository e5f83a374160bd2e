from libos cimport layout
