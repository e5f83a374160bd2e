"""The Network Direct Service Provider Interface, version 2, as the contract of a fabric maps onto it: Catpaw's place.

Types only, for who writes the backend on Windows: nothing here can run, and nothing pretends to. The names are those of
Microsoft's reference ("Network Direct SPI", ndspi.h), whose interfaces are COM objects; a HRESULT is an int, ND_SUCCESS
or a failure, an OVERLAPPED a handle of the caller's, a context an integer that the result brings back. Input and output
parameters that the SPI has as pointers are arguments and results here.

How the contract is kept:

- A queue pair for each peer, connected by an IND2Connector at the first request, and one IND2SharedReceiveQueue for
  all: receives are the endpoint's, as the contract wants it. The address of an endpoint is the SOCKADDR that its
  IND2Listener is bound to. ND2_RESULT.QueuePairContext says who sent a message: SOURCE.
- Shared receive queues are optional (MaxSharedReceiveQueueDepth): without one an adapter can't be used.
- A region is an IND2MemoryRegion; its local token goes with each ND2_SGE. A window is an IND2MemoryWindow, bound by the
  peer's queue pair before the message that names it, its remote token the key: it is good there only (SCOPED), and
  adapters enforce it (ENFORCES).
- A message without a receive breaks the connection on adapters that are iWARP: without PATIENT.
- Keys have 32 bits.
"""

from typing import NamedTuple, Protocol

HRESULT = int
ND_SUCCESS = 0
ND_PENDING = 0x103
ND_OP_FLAG_SILENT_SUCCESS, ND_OP_FLAG_READ_FENCE = 1, 2  # no result of a success; after all earlier reads
ND_OP_FLAG_ALLOW_READ, ND_OP_FLAG_ALLOW_WRITE = 8, 16  # of Bind
ND_CQ_NOTIFY_ERRORS, ND_CQ_NOTIFY_ANY = 0, 1


class ND2_SGE(NamedTuple):
    """A piece of memory in a request: a Piece of structs.pxd, with the local token of its region."""

    Buffer: int
    BufferLength: int
    MemoryRegionToken: int


class ND2_RESULT(NamedTuple):
    """A completion. `RequestType`: Receive, Send, Bind, Invalidate, Read, Write."""

    Status: HRESULT
    BytesTransferred: int
    QueuePairContext: int
    RequestContext: int
    RequestType: int


class IND2Overlapped(Protocol):
    """What can be waited for."""

    def CancelOverlappedRequests(self) -> HRESULT: ...

    def GetOverlappedResult(self, overlapped: int, wait: bool) -> HRESULT: ...


class IND2CompletionQueue(IND2Overlapped, Protocol):
    def GetResults(self, count: int) -> list[ND2_RESULT]:
        """Up to `count` results, without waiting."""

    def Notify(self, type: int, overlapped: int) -> HRESULT:
        """Complete `overlapped` at the next result (ND_CQ_NOTIFY_ANY)."""


class IND2MemoryRegion(IND2Overlapped, Protocol):
    def Register(self, buffer: int, length: int, flags: int, overlapped: int) -> HRESULT: ...

    def Deregister(self, overlapped: int) -> HRESULT: ...

    def GetLocalToken(self) -> int: ...

    def GetRemoteToken(self) -> int: ...


class IND2MemoryWindow(Protocol):
    def GetRemoteToken(self) -> int:
        """The key, after Bind."""


class IND2SharedReceiveQueue(IND2Overlapped, Protocol):
    def Receive(self, context: int, pieces: list[ND2_SGE]) -> HRESULT: ...

    def Modify(self, depth: int, threshold: int) -> HRESULT: ...

    def Notify(self, overlapped: int) -> HRESULT: ...


class IND2QueuePair(Protocol):
    def Send(self, context: int, pieces: list[ND2_SGE], flags: int) -> HRESULT: ...

    def Bind(
        self, context: int, region: IND2MemoryRegion, window: IND2MemoryWindow, buffer: int, length: int, flags: int
    ) -> HRESULT: ...

    def Invalidate(self, context: int, window: IND2MemoryWindow, flags: int) -> HRESULT: ...

    def Read(self, context: int, pieces: list[ND2_SGE], remote: int, token: int, flags: int) -> HRESULT: ...

    def Write(self, context: int, pieces: list[ND2_SGE], remote: int, token: int, flags: int) -> HRESULT: ...

    def Flush(self) -> HRESULT:
        """Complete all that is out as canceled."""


class IND2Connector(IND2Overlapped, Protocol):
    def Bind(self, address: bytes) -> HRESULT: ...

    def Connect(
        self,
        pair: IND2QueuePair,
        address: bytes,
        inbound_reads: int,
        outbound_reads: int,
        private: bytes,
        overlapped: int,
    ) -> HRESULT: ...

    def CompleteConnect(self, overlapped: int) -> HRESULT: ...

    def Accept(
        self, pair: IND2QueuePair, inbound_reads: int, outbound_reads: int, private: bytes, overlapped: int
    ) -> HRESULT: ...

    def NotifyDisconnect(self, overlapped: int) -> HRESULT: ...

    def Disconnect(self, overlapped: int) -> HRESULT: ...


class IND2Listener(IND2Overlapped, Protocol):
    def Bind(self, address: bytes) -> HRESULT: ...

    def Listen(self, backlog: int) -> HRESULT: ...

    def GetLocalAddress(self) -> bytes: ...

    def GetConnectionRequest(self, connector: IND2Connector, overlapped: int) -> HRESULT: ...


class ND2_ADAPTER_INFO(NamedTuple):
    """What bounds an endpoint: some of its fields."""

    MaxInitiatorSge: int
    MaxReceiveSge: int
    MaxReadSge: int
    MaxSharedReceiveQueueDepth: int
    MaxInitiatorQueueDepth: int
    MaxCompletionQueueDepth: int
    MaxRegistrationSize: int
    MaxWindowSize: int


class IND2Adapter(IND2Overlapped, Protocol):
    def Query(self) -> ND2_ADAPTER_INFO: ...

    def CreateCompletionQueue(self, handle: int, depth: int, group: int, affinity: int) -> IND2CompletionQueue: ...

    def CreateMemoryRegion(self, handle: int) -> IND2MemoryRegion: ...

    def CreateMemoryWindow(self) -> IND2MemoryWindow: ...

    def CreateSharedReceiveQueue(
        self, handle: int, depth: int, pieces: int, threshold: int, group: int, affinity: int
    ) -> IND2SharedReceiveQueue: ...

    def CreateQueuePairWithSrq(
        self,
        receives: IND2CompletionQueue,
        requests: IND2CompletionQueue,
        shared: IND2SharedReceiveQueue,
        context: int,
        depth: int,
        pieces: int,
        inline: int,
    ) -> IND2QueuePair: ...

    def CreateConnector(self, handle: int) -> IND2Connector: ...

    def CreateListener(self, handle: int) -> IND2Listener: ...


# each call of the contract: the methods that it is made of
MAPPING = {
    "peer": (IND2Adapter.CreateQueuePairWithSrq, IND2Connector.Connect, IND2Connector.CompleteConnect),
    "forget": (IND2Connector.Disconnect, IND2QueuePair.Flush),
    "register": (IND2Adapter.CreateMemoryRegion, IND2MemoryRegion.Register, IND2MemoryRegion.GetLocalToken),
    "deregister": (IND2MemoryRegion.Deregister,),
    "expose": (IND2Adapter.CreateMemoryWindow, IND2QueuePair.Bind),
    "key": (IND2MemoryWindow.GetRemoteToken,),
    "base": (IND2QueuePair.Bind,),  # a window's first byte is named by its address
    "withdraw": (IND2QueuePair.Invalidate,),
    "post_receive": (IND2SharedReceiveQueue.Receive,),
    "send": (IND2QueuePair.Send,),
    "inject": (IND2QueuePair.Send,),  # with ND_OP_FLAG_INLINE and ND_OP_FLAG_SILENT_SUCCESS
    "write": (IND2QueuePair.Write,),
    "read": (IND2QueuePair.Read,),
    "poll": (IND2CompletionQueue.GetResults,),
    "deadline": (),  # every completion rings
    "arm": (IND2CompletionQueue.Notify,),
    "disarm": (IND2CompletionQueue.CancelOverlappedRequests,),
    "bell": (IND2CompletionQueue.GetOverlappedResult,),  # the event of the OVERLAPPED
    "close": (IND2Connector.Disconnect, IND2QueuePair.Flush, IND2MemoryRegion.Deregister),
}
