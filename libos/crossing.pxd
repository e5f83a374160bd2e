from libos cimport layout, raw, rings, spine
from libos.net.tcp cimport user
