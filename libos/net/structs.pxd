# Addresses are two words, in the order of IPv6; an IPv4 address is the mapped one (RFC 4291, section 2.5.5.2). Times are in
# nanoseconds, 0 where nothing is due. Windows, lengths and counts are in octets and signed, so that a difference can't wrap.

ctypedef struct Packet:  # what came in, decoded once
    size_t frame, network, transport, payload
    long long frame_length, network_length, transport_length, payload_length
    unsigned long long source_mac, target_mac
    unsigned long long source_high, source_low, target_high, target_low
    unsigned int ether_type, family, protocol, ecn, hop_limit
    unsigned int fragment_id, fragment_offset, more_fragments, dont_fragment
    unsigned int broadcast, pad  # sent to all of a link
    unsigned int source_port, target_port
    unsigned int seq, ack, flags, window, urgent
    unsigned int has_timestamp, ts_value, ts_echo
    unsigned int has_scale, scale, mss, sack_permitted, sacks  # mss 0: not said; sacks: how many blocks
    unsigned int sack_left[4]
    unsigned int sack_right[4]

ctypedef struct Address:  # of an interface
    unsigned long long high, low
    unsigned int prefix, family  # bits of the 128 that name the link

ctypedef struct Route:
    unsigned long long high, low, gateway_high, gateway_low  # no gateway (0): on the link
    unsigned int prefix, mtu  # mtu 0: that of the device

ctypedef struct Path:  # what is known of the way to a host (RFC 1191, RFC 8201)
    unsigned long long high, low
    long long until
    unsigned int mtu, pad

ctypedef struct Neighbor:  # RFC 4861, section 7.3.2; ARP's are kept alike
    unsigned long long high, low, mac
    size_t waiting  # frames for it, the oldest first
    long long until, used
    unsigned int state, probes, count, pad

ctypedef struct Waiting:  # a frame kept for later; its octets follow
    size_t next
    long long length

ctypedef struct Fragments:  # a datagram on its way to be whole (RFC 791, RFC 8200); 64 KiB and a map of 8-octet blocks follow
    unsigned long long source_high, source_low, target_high, target_low
    size_t buffer
    long long until, total, got
    unsigned int id, protocol, used, ecn

ctypedef struct Ring:  # octets in a power of two of memory that grows with use
    size_t at
    long long size, head, used

ctypedef struct Link:  # a record's place in a Queue
    size_t next, before
    size_t record  # whose it is while it is in one, else 0

ctypedef struct Queue:  # of records, by their Links
    size_t first, last
    long long count

ctypedef struct Sent:  # a segment on its way
    long long time  # of the last transmission
    unsigned int seq, length  # in sequence space: SYN and FIN count
    unsigned int marks, times

ctypedef struct Tcb:  # transmission control block (RFC 9293, section 3.3.1)
    # who
    unsigned long long local_high, local_low, remote_high, remote_low
    unsigned int local_port, remote_port
    size_t chain, bound, bound_before, parent  # next in tables; whose child it is while it is half open
    Link pending, event, waiting  # in the engine's queues; waiting: to be accepted, or in TIME-WAIT
    unsigned long long user
    unsigned int state, family, flags, options
    unsigned int error, soft_error
    # send sequence space; window and scale
    unsigned int iss, snd_una, snd_nxt, snd_wl1, snd_wl2, snd_up
    unsigned int snd_scale, rcv_scale
    long long snd_wnd, max_window
    # receive sequence space; rcv_adv is the right edge of the window that the peer knows
    unsigned int irs, rcv_nxt, rcv_adv, rcv_up, last_ack, urgent_octet
    unsigned int fin_seq, sack_recent, dsack_left, dsack_right
    # segment sizes: what the peer takes, what fits, what the user allows
    unsigned int peer_mss, mss, user_mss, full_seen
    # buffers
    Ring tx, rx
    long long tx_limit, rx_limit
    unsigned int tx_seq, hole_count  # of the first octet in tx; ranges beyond rcv_nxt
    unsigned int hole_left[16]
    unsigned int hole_right[16]
    # segments in flight, in sequence order
    size_t sent_at
    long long sent_size, sent_head, sent_count
    long long flight, sacked, lost  # octets sent; of them delivered out of order, lost and not sent again
    # congestion (RFC 5681, 6582, 6937, 9438)
    long long cwnd, ssthresh, acked_part
    long long cubic_max, cubic_k, cubic_start, cubic_w, cubic_last, vegas_base
    unsigned int congestion, recovery, recover, duplicates
    long long prr_delivered, prr_out, prr_flight
    # round trips and loss timers (RFC 6298, RFC 8985)
    long long srtt, rttvar, rto, min_rtt, min_rtt_at
    long long rack_time, rack_rtt
    unsigned int rack_end, backoff, probe_end, rack_persist
    unsigned int fack, reordered, rack_steps, rack_round  # highest delivered; what widens RACK's window
    long long progress  # when the peer last acknowledged anything new, or nothing was unanswered
    # timestamps (RFC 7323)
    unsigned int ts_recent, ts_offset
    long long ts_recent_at
    # deadlines
    long long retransmit_at, ack_at, cork_at, keep_at, end_at, reorder_at, trim_at
    long long deadline, heap_deadline
    long long heap_index
    unsigned int timer_kind, probes, keep_probes, ack_owed
    # options in seconds and milliseconds
    unsigned int keep_idle, keep_interval, keep_count, user_timeout
    int linger
    unsigned int defer, traffic_class, time_to_live, small_end
    # of a listener: those who wait to be accepted, and those half open
    Queue accepting
    unsigned int half_open, backlog, told_at  # the second of the last cookie; of others the ms of the last challenge
    # the headers of what goes out, made once (valid while generation is the host's)
    unsigned int generation, header_length, partial, ident, retransmissions
    unsigned char header[56]

ctypedef struct Datagram:  # received; its payload follows
    size_t next
    long long length
    unsigned long long source_high, source_low, target_high, target_low
    unsigned int source_port, hop_limit, traffic_class, pad

ctypedef struct Udp:  # a UDP socket
    unsigned long long local_high, local_low, remote_high, remote_low
    unsigned int local_port, remote_port
    size_t chain
    unsigned int family, options
    Link event
    unsigned long long user
    size_t first, last  # received datagrams
    long long queued, limit, dropped
    unsigned int error, time_to_live, multicast_ttl, traffic_class, groups, pad
    unsigned long long group_high[16]
    unsigned long long group_low[16]

ctypedef struct Transport:  # what both kinds begin with
    unsigned long long local_high, local_low, remote_high, remote_low
    unsigned int local_port, remote_port
    size_t chain

cdef enum:  # Ethernet, IP
    ETHERNET = 14
    TYPE_IPV4 = 0x0800
    TYPE_ARP = 0x0806
    TYPE_IPV6 = 0x86DD
    PROTOCOL_ICMP = 1
    PROTOCOL_IGMP = 2
    PROTOCOL_TCP = 6
    PROTOCOL_UDP = 17
    PROTOCOL_ICMPV6 = 58
    NO_NEXT_HEADER = 59
    HOP_BY_HOP = 0
    ROUTING = 43
    FRAGMENT = 44
    DESTINATION_OPTIONS = 60

cdef enum:  # TCP's control bits
    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16
    URG = 32
    ECE = 64
    CWR = 128

cdef enum:  # kinds of TCP's options
    OPTION_END = 0
    OPTION_NOTHING = 1
    OPTION_MSS = 2
    OPTION_SCALE = 3
    OPTION_SACK_PERMITTED = 4
    OPTION_SACK = 5
    OPTION_TIMESTAMP = 8

cdef enum:  # states; those from ESTABLISHED on have a synchronised peer
    CLOSED = 0
    LISTEN = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    ESTABLISHED = 4
    FIN_WAIT_1 = 5
    FIN_WAIT_2 = 6
    CLOSE_WAIT = 7
    CLOSING = 8
    LAST_ACK = 9
    TIME_WAIT = 10

cdef enum:  # flags of a Tcb
    PROBED_AGAIN = 1  # and the probe was a segment sent again
    ORPHAN = 4  # its user has closed it
    FIN_QUEUED = 8  # the user sends no more
    FIN_RECEIVED = 16
    NO_MORE_READS = 32
    TIMESTAMPS = 64  # agreed on, like the next two
    SACK = 128
    ECN = 256
    ACK_NOW = 512
    ECE_DUE = 1024  # congestion was seen: say so until the sender has heard it
    CWR_DUE = 2048
    ACTIVE = 4096  # we began
    BOUND = 8192
    HASHED = 16384
    URGENT_OUT = 32768
    URGENT_IN = 65536  # rcv_up is ahead of what was read
    URGENT_VALID = 131072  # urgent_octet holds it
    PROBED = 262144  # a tail loss probe is out
    EXPLICIT = 1048576  # its port was asked for
    PUSH = 2097152
    FIN_AHEAD = 4194304  # fin_seq is known, what comes before is not there yet
    FULL = 8388608  # the user was told that there is no room, and waits for it
    DSACK = 16777216  # dsack_left, dsack_right arrived twice: say so
    URGENT_READ = 33554432  # the urgent octet lies in the stream still, its user has had it

cdef enum:  # options of a Tcb or Udp
    NODELAY = 1
    CORK = 2
    KEEPALIVE = 4
    REUSE_ADDRESS = 8
    REUSE_PORT = 16
    OOB_INLINE = 32
    QUICK_ACK = 64
    V6_ONLY = 128
    BROADCAST = 256
    NO_LOOP = 512  # multicast that we send does not come back to us
    LINGER = 1024
    MORE = 2048  # of one send: more follows

cdef enum:  # readiness, with the values of poll(2)
    READABLE = 1
    PRIORITY = 2
    WRITABLE = 4
    FAILED = 8
    HANGUP = 16
    PEER_CLOSED = 0x2000

cdef enum:  # what can go wrong, returned negative; interpose knows what POSIX calls them
    WOULD_BLOCK = 1
    REFUSED = 2
    RESET = 3
    TIMED_OUT = 4
    HOST_UNREACHABLE = 5
    NETWORK_UNREACHABLE = 6
    NOT_CONNECTED = 7
    BROKEN_PIPE = 8
    INVALID = 9
    IN_USE = 10
    NO_MEMORY = 11
    IN_PROGRESS = 12
    ALREADY = 13
    IS_CONNECTED = 14
    TOO_LONG = 15
    ADDRESS_UNAVAILABLE = 16
    PROTOCOL_UNREACHABLE = 17
    NOT_SUPPORTED = 18
    DENIED = 19

cdef enum:  # marks of a Sent
    SACKED = 1
    LOST = 2
    AGAIN = 4  # sent again since it was last held for lost
    HAS_SYN = 8
    HAS_FIN = 16
    HAS_PSH = 32

cdef enum:  # recovery; congestion control; what the retransmission timer is for
    OPEN = 0
    RECOVERY = 1
    LOSS = 2
    REDUCED = 3
    NEWRENO = 0
    CUBIC = 1
    VEGAS = 2
    TIMER_RTO = 0
    TIMER_PROBE = 1
    TIMER_PERSIST = 2

cdef enum:  # neighbors
    NOBODY = 0
    INCOMPLETE = 1
    REACHABLE = 2
    STALE = 3
    DELAY = 4
    PROBE = 5
    PERMANENT = 6

cdef enum:  # records of group reports (RFC 3376, section 4.2.12; RFC 3810, section 5.2.12)
    GROUP_HEARD = 2
    GROUP_LEFT = 3
    GROUP_JOINED = 4

cdef enum:  # calls of a stack, as a tape has them; the first five bring octets, the next three take some
    CALL_RECEIVE = 1
    CALL_SEND = 2
    CALL_SEND_URGENT = 3
    CALL_UDP_SEND = 4
    CALL_CHANGED = 5
    CALL_RECEIVE_INTO = 6
    CALL_RECEIVE_URGENT = 7
    CALL_UDP_RECEIVE_INTO = 8
    CALL_POLL = 9
    CALL_DROP = 10
    CALL_ROUTE = 11
    CALL_OPEN = 12
    CALL_BIND = 13
    CALL_LISTEN = 14
    CALL_CONNECT = 15
    CALL_ACCEPT = 16
    CALL_IN_ONE_PIECE = 17
    CALL_TAKEN = 18
    CALL_SENDABLE = 19
    CALL_SHUTDOWN = 20
    CALL_CLOSE = 21
    CALL_ABORT = 22
    CALL_READY = 23
    CALL_TAKE_ERROR = 24
    CALL_SET_OPTION = 25
    CALL_RENEW = 26
    CALL_GIVE_UP = 27
    CALL_NEXT_EVENT = 28
    CALL_UDP_OPEN = 29
    CALL_UDP_BIND = 30
    CALL_UDP_CONNECT = 31
    CALL_UDP_DISCONNECT = 32
    CALL_UDP_POP = 33
    CALL_UDP_JOIN = 34
    CALL_UDP_LEAVE = 35
    CALL_UDP_CLOSE = 36
    CALL_UDP_TAKE_ERROR = 37
    CALL_UDP_NEXT_EVENT = 38
    CALL_STATE = 39  # no calls: a sum of all state, the end, and the end for want of room
    CALL_END = 40
    CALL_FULL = 41

cdef enum:  # limits
    ADDRESSES = 16
    ROUTES = 32
    PATHS = 256
    NEIGHBORS = 512
    WAITING_FRAMES = 48  # for one neighbor: a datagram of 64 KiB in fragments of 1,500 octets
    REASSEMBLIES = 16
    HOLES = 16
    GROUPS = 16

cdef inline Packet *packet(size_t a) noexcept nogil:
    return <Packet *>a

cdef inline Address *address(size_t a) noexcept nogil:
    return <Address *>a

cdef inline Route *route(size_t a) noexcept nogil:
    return <Route *>a

cdef inline Path *path(size_t a) noexcept nogil:
    return <Path *>a

cdef inline Neighbor *neighbor(size_t a) noexcept nogil:
    return <Neighbor *>a

cdef inline Waiting *waiting(size_t a) noexcept nogil:
    return <Waiting *>a

cdef inline Fragments *fragments(size_t a) noexcept nogil:
    return <Fragments *>a

cdef inline Link *link(size_t a) noexcept nogil:
    return <Link *>a

cdef inline Queue *queue(size_t a) noexcept nogil:
    return <Queue *>a

cdef inline Transport *transport(size_t a) noexcept nogil:
    return <Transport *>a

cdef inline Sent *sent(size_t a) noexcept nogil:
    return <Sent *>a

cdef inline Tcb *tcb(size_t a) noexcept nogil:
    return <Tcb *>a

cdef inline Datagram *datagram(size_t a) noexcept nogil:
    return <Datagram *>a

cdef inline Udp *udp(size_t a) noexcept nogil:
    return <Udp *>a

cdef inline long long packet_size() noexcept nogil:
    return sizeof(Packet)

cdef inline long long address_size() noexcept nogil:
    return sizeof(Address)

cdef inline long long route_size() noexcept nogil:
    return sizeof(Route)

cdef inline long long path_size() noexcept nogil:
    return sizeof(Path)

cdef inline long long neighbor_size() noexcept nogil:
    return sizeof(Neighbor)

cdef inline long long waiting_size() noexcept nogil:
    return sizeof(Waiting)

cdef inline long long fragments_size() noexcept nogil:
    return sizeof(Fragments)

cdef inline long long queue_size() noexcept nogil:
    return sizeof(Queue)

cdef inline long long sent_size() noexcept nogil:
    return sizeof(Sent)

cdef inline long long tcb_size() noexcept nogil:
    return sizeof(Tcb)

cdef inline long long datagram_size() noexcept nogil:
    return sizeof(Datagram)

cdef inline long long udp_size() noexcept nogil:
    return sizeof(Udp)

cdef inline size_t self_of(Tcb *c) noexcept nogil:
    return <size_t>c

cdef inline size_t header_of(Tcb *c) noexcept nogil:
    return <size_t>&c.header[0]

cdef inline size_t self_of_link(Link *k) noexcept nogil:
    return <size_t>k

cdef inline Link *pending_of(Tcb *c) noexcept nogil:
    return &c.pending

cdef inline Link *event_of(Tcb *c) noexcept nogil:
    return &c.event

cdef inline Link *event_of_udp(Udp *u) noexcept nogil:
    return &u.event

cdef inline Link *waiting_of(Tcb *c) noexcept nogil:
    return &c.waiting

cdef inline size_t accepting_of(Tcb *c) noexcept nogil:
    return <size_t>&c.accepting

cdef inline size_t self_of_sent(Sent *s) noexcept nogil:
    return <size_t>s

cdef inline size_t self_of_path(Path *p) noexcept nogil:
    return <size_t>p

cdef inline size_t self_of_neighbor(Neighbor *n) noexcept nogil:
    return <size_t>n

cdef inline size_t self_of_udp(Udp *u) noexcept nogil:
    return <size_t>u

cdef inline Ring *tx_of(Tcb *c) noexcept nogil:
    return &c.tx

cdef inline Ring *rx_of(Tcb *c) noexcept nogil:
    return &c.rx

cdef inline size_t urgent_of(Tcb *c) noexcept nogil:
    return <size_t>&c.urgent_octet
