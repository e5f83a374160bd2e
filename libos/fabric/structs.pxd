from libos.net.structs cimport Link, Queue

# Times are in nanoseconds, 0 where nothing is due. Numbers are little-endian, on the wire too. Counts of messages are of a
# connection's whole life, so that none of them wraps.

ctypedef struct Completion:  # what a fabric's poll writes
    unsigned long long context, length  # length: of a message that was received
    unsigned int operation, status
    unsigned int peer, pad  # who sent a message that was received; NOBODY: none that we know, or the fabric can't tell

ctypedef struct Piece:  # of memory, in a request
    unsigned long long address, length, region

ctypedef struct Header:  # of a message; `length` bytes follow
    unsigned int mark  # the protocol and its version
    unsigned char kind, flags, answers, zero  # answers: how many questions a REPLY answers
    unsigned int connection, length  # the receiver's number of the connection
    unsigned long long token  # the receiver's, who knows a connection by both
    unsigned long long granted, done  # messages that the receiver may send, large messages of its that were read

ctypedef struct Greeting:  # what follows the header of a HELLO and of a WELCOME; of a HELLO also the bytes of the address
    unsigned long long token, mailbox, key, largest
    unsigned int number, service, buffer, address_length  # buffer: bytes that may follow a header

ctypedef struct Large:  # what follows the header of a LARGE: where the bytes can be read
    unsigned long long address, key, length

ctypedef struct Item:  # a receive buffer, a request, a push, a message
    Link link
    size_t connection, buffer  # buffer: memory of ours that it holds
    size_t address
    unsigned long long length, token
    unsigned long long remote, key
    long long window, peer
    unsigned int kind, state, status, pad

ctypedef struct Peer:
    long long held, heard_at, beat_at  # connections; when a request or message was last completed; asked since
    long long beats  # that are out
    size_t witness  # a connection by which it is asked

ctypedef struct Connection:
    Link work, event, opening
    unsigned int number, state, flags, error
    long long peer, flying  # requests that are out
    unsigned long long user
    # how we know it, and how they do
    unsigned long long token, their_token
    unsigned int their_number, service
    long long window  # on our mailbox
    unsigned long long mailbox, their_mailbox, their_key
    long long deadline  # of the opening
    # sending: messages that they let us send, that we have sent; REPLYs that are to come
    long long granted, sent, asked
    long long their_buffer, their_largest
    long long large_sent, large_done
    Queue pushes, larges, finished  # waiting to be sent; waiting to be read by them; for the user
    # receiving: messages that we let them send, of that what they were told; that have come, that wait for the user
    long long given, told, received, quota
    long long large_read, owed  # questions that we have not answered yet
    long long unread  # large ones whose reading has not begun
    Queue messages  # for the user, in their order
    # of a listener, and of who waits for its user or is on the way there: where that is
    Queue accepting
    long long backlog, half_open
    size_t listener

cdef enum:
    NOBODY = 0xFFFFFFFF
    MARK = 0x01746D43  # "Cmt", version 1
    HEADER = 40
    GREETING = 48
    LARGE_SIZE = 24
    ADDRESS = 256  # bytes of the longest address
    MAILBOX = 64  # bytes of a connection's: from 0 on what the peer writes (granted, done), from 32 on what we write
    REPORT = 16  # bytes of that

cdef enum:  # limits
    UNIT = 1048576  # bytes of a region of the heap: as its superblocks, and what one pinning is worth
    RESERVE = 32  # receives that are promised to nobody
    COPIED = 1024  # bytes of a small message from which on it is sent from where it lies, if that is registered
    FIRST_QUOTA = 4  # messages that a connection may have on its way to us, at first
    CALLS = 16  # HELLOs out at a time; the peer has receives in reserve for twice as many
    BURST = 8  # messages of one connection before others have their turn
    PUSHES = 128  # that a connection may have waiting
    AHEAD = 1048576  # credits that nobody needs, and bytes that nobody takes at once: more are an error of the peer's
    LISTENERS = 256  # chains of listeners, by service

cdef enum:  # capabilities of a fabric
    ENFORCES = 1  # a wrong key, and what is outside of a window, is refused
    SCOPED = 2  # a window is refused to any other peer than the one that it was made for
    SOURCE = 4  # it says which of the peers that we know sent a message
    PATIENT = 8  # a message for which no receive is posted waits at its sender; without this it may fail there

cdef enum:  # what a window allows
    MAY_READ = 1
    MAY_WRITE = 2

cdef enum:  # operations of completions
    RECEIVED = 1
    SENT = 2
    WRITTEN = 3
    READ = 4

cdef enum:  # status of completions
    OK = 0
    GONE = 1  # the peer can't be reached, any more or at all
    CANCELED = 2  # by us
    DENIED = 3  # by the peer's memory: key, bounds or access
    TOO_LONG = 4  # a message for the receive that it met; of a send as well where the sender is told

cdef enum:  # kinds of messages
    HELLO = 1  # may we have a connection?
    WELCOME = 2  # yes; a question, as the next two: they are answered by a REPLY each
    REFUSED = 3
    DATA = 4
    LARGE = 5  # a message that is to be read; a question
    REPLY = 6
    END = 7  # nothing more will be sent; a question
    ABORT = 8

cdef enum:  # flags of messages
    LAST = 1  # of a DATA or LARGE: the sender may send no more; one more question, answered when it may
    END_SEEN = 2  # of a REPLY

cdef enum:  # what an Item is
    A_RECEIVE = 1
    A_SEND = 2
    A_WRITE = 3
    A_BEAT = 4
    A_PUSH = 5
    A_MESSAGE = 6

cdef enum:  # states of an Item
    UNREAD = 0
    BEING_READ = 1
    READY = 2

cdef enum:  # states of a connection
    FREE = 0
    LISTENING = 1
    CALLING = 2  # HELLO is to go out, or is out
    GREETING_BACK = 3  # WELCOME is to go out
    GREETED = 4  # it is out
    OPEN = 5
    BROKEN = 6

cdef enum:  # what there is to do for a connection, and whether it was done
    DONE = 0
    MORE = 1  # after the others had their turn
    STUCK = 2  # the fabric takes no more requests
    SHORT = 3  # there is no memory, or no receive that could be promised

cdef enum:  # flags of a connection
    HELLO_DUE = 1
    ABORT_DUE = 2
    ENDING = 4  # the user sends no more
    ENDED = 8  # and the peer was told
    END_HEARD = 16  # and knows it
    PEER_ENDED = 32
    SEEN_DUE = 64  # the peer is to know that we know
    IN_LINE = 128  # to be greeted: too many HELLOs are out
    STARVING = 256  # the peer may send no more, and has said so
    TELLING = 512  # a report is being written
    ORPHAN = 1024  # the user has closed it
    CALLED = 2048  # HELLO is out and not answered
    KNOWN = 4096  # their number and token are

cdef enum:  # what can go wrong, returned negative, or in a connection's `error`
    WOULD_BLOCK = 1
    CONNECTION_REFUSED = 2
    RESET = 3
    TIMED_OUT = 4
    NOT_CONNECTED = 7
    BROKEN_PIPE = 8
    INVALID = 9
    IN_USE = 10
    NO_MEMORY = 11
    MESSAGE_TOO_LONG = 15

cdef enum:  # readiness
    READABLE = 1  # a message, the end, or a failure
    WRITABLE = 4
    FAILED = 8
    PEER_CLOSED = 16

cdef inline Completion *completion(size_t a) noexcept nogil:
    return <Completion *>a

cdef inline Piece *piece(size_t a) noexcept nogil:
    return <Piece *>a

cdef inline Header *header(size_t a) noexcept nogil:
    return <Header *>a

cdef inline Greeting *greeting(size_t a) noexcept nogil:
    return <Greeting *>a

cdef inline Large *large(size_t a) noexcept nogil:
    return <Large *>a

cdef inline Item *item(size_t a) noexcept nogil:
    return <Item *>a

cdef inline Peer *peer(size_t a) noexcept nogil:
    return <Peer *>a

cdef inline Connection *connection(size_t a) noexcept nogil:
    return <Connection *>a

cdef inline long long completion_size() noexcept nogil:
    return sizeof(Completion)

cdef inline long long piece_size() noexcept nogil:
    return sizeof(Piece)

cdef inline long long item_size() noexcept nogil:
    return sizeof(Item)

cdef inline long long peer_size() noexcept nogil:
    return sizeof(Peer)

cdef inline long long connection_size() noexcept nogil:
    return sizeof(Connection)

cdef inline size_t self_of(Connection *c) noexcept nogil:
    return <size_t>c

cdef inline size_t self_of_item(Item *i) noexcept nogil:
    return <size_t>i

cdef inline Link *link_of(Item *i) noexcept nogil:
    return &i.link

cdef inline Link *work_of(Connection *c) noexcept nogil:
    return &c.work

cdef inline Link *event_of(Connection *c) noexcept nogil:
    return &c.event

cdef inline Link *opening_of(Connection *c) noexcept nogil:
    return &c.opening

cdef inline size_t pushes_of(Connection *c) noexcept nogil:
    return <size_t>&c.pushes

cdef inline size_t larges_of(Connection *c) noexcept nogil:
    return <size_t>&c.larges

cdef inline size_t finished_of(Connection *c) noexcept nogil:
    return <size_t>&c.finished

cdef inline size_t messages_of(Connection *c) noexcept nogil:
    return <size_t>&c.messages

cdef inline size_t accepting_of(Connection *c) noexcept nogil:
    return <size_t>&c.accepting
