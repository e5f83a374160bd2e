"""Congestion controls. Each is a room with four functions over a connection's record, chosen in control.py:

`start(c)`: the connection begins, or begins anew after it was idle.
`acked(c, octets, now)`: so many octets were newly acknowledged, out of slow start, while the window was in use.
`lost(c, now)`: something was lost; the answer is the new ssthresh, in octets.
`measured(c, rtt)`: a round trip took so many nanoseconds.
"""
