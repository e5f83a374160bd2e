from libos cimport layout, leaving, raw, rings, spine
from libos.net.tcp cimport user
