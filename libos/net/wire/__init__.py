"""Headers and messages as they lie on the wire: each room reads and writes one of them, over raw addresses.

What comes from outside is checked before it is used: a reader answers 0 for what it refuses, and never raises.
"""
