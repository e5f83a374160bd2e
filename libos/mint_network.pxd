from libos cimport calls, layout, leaving, mint_relay, raw, spine
