# cython: infer_types=True
"""Where a packet goes next: the longest prefix (RFC 1122, section 3.3.1), and what is known of the MTU on the way
(RFC 1191, RFC 8201).
"""

from libos.net import host as hosts
from libos.net import octets, seq, structs

PATH_LIFE = 600 * 10**9  # a smaller path MTU is held for ten minutes (RFC 1191, section 6.3)


def add(host, high, low, prefix, gateway_high=0, gateway_low=0, mtu=0):
    """Send what goes to a network by a gateway, or straight to the link where that is 0. Raises ValueError."""
    if host.route_count == structs.ROUTES:
        raise ValueError("too many routes")
    r = structs.route(host.routes_at + host.route_count * structs.route_size())
    r.high = high
    r.low = low
    r.prefix = prefix
    r.gateway_high = gateway_high
    r.gateway_low = gateway_low
    r.mtu = mtu
    host.route_count += 1
    host.generation += 1


def find(host, high, low):
    """Leave the next hop to a host in `hop_high, hop_low` and the MTU of the way in `hop_mtu`; false: no route."""
    if host.tape.on:
        return host.tape.call(structs.CALL_ROUTE, high, low, 0, 0, 0, 0) != 0
    host.hop_high = high
    host.hop_low = low
    host.hop_mtu = host.mtu
    if host.mine(high, low) or hosts.is_multicast(high, low) or host.broadcasts(high, low):
        return True
    best = -1
    direct = False
    for i in range(host.address_count):
        a = structs.address(host.addresses_at + i * structs.address_size())
        if hosts.within(high, low, a.high, a.low, a.prefix) and best < seq.number(a.prefix):
            best = a.prefix
            direct = True
    for i in range(host.route_count):
        r = structs.route(host.routes_at + i * structs.route_size())
        if hosts.within(high, low, r.high, r.low, r.prefix) and best < seq.number(r.prefix):
            best = r.prefix
            direct = False
            host.hop_high = high
            host.hop_low = low
            copy_gateway(host, r)
    if best < 0:
        return False
    if direct:
        host.hop_high = high
        host.hop_low = low
        host.hop_mtu = host.mtu
    known = path_of(host, high, low).mtu
    if path_of(host, high, low).until > host.now and known < host.hop_mtu:
        host.hop_mtu = known
    return True


def copy_gateway(host, r):
    if r.gateway_high or r.gateway_low:
        host.hop_high = r.gateway_high
        host.hop_low = r.gateway_low
    host.hop_mtu = r.mtu if r.mtu else host.mtu


def path_of(host, high, low):
    """The place where the path to a host is remembered; one of a new host takes it over."""
    p = structs.path(host.paths_at + (host.mix(high, low, 0) & (structs.PATHS - 1)) * structs.path_size())
    if p.high != high or p.low != low:
        octets.zero(structs.self_of_path(p), structs.path_size())
        p.high = high
        p.low = low
    return p


def learn_mtu(host, high, low, mtu):
    """A router said that the way to a host takes no more than `mtu`; false when that is nothing new or can't be."""
    # never below what every link must take (RFC 8200, section 5; for IPv4 as Linux does, against RFC 791's 68)
    least = 552 if hosts.is4(high, low) else 1280
    if mtu < least:
        mtu = least
    if not find(host, high, low) or mtu >= host.hop_mtu:
        return False
    p = path_of(host, high, low)
    p.mtu = mtu
    p.until = host.now + PATH_LIFE
    host.generation += 1
    return True
