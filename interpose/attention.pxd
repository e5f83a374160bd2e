from interpose cimport arming
from libos cimport layout, raw, rings
