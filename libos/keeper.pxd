from libos cimport endpoint, layout, raw
