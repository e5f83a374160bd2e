from libos cimport layout, raw, rings
