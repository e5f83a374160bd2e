from libos cimport endpoint, layout, leaving, raw, relay, rings, spine
from libos.net.tcp cimport user
