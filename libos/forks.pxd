from libos cimport calls, raw
