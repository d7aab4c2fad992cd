// What the kernel under test tells listeners of its table: ctnetlink's events, as `conntrack -E` gets
// them, read from the multicast groups of the router's namespace.

#if os(Linux)
  import Conntrack
  import Wire

  final class KernelEvents {
    let socket: Descriptor
    private var buffer = [UInt8](repeating: 0, count: 262_144)

    /// linux/netfilter/nfnetlink_compat.h: a bit for each of NFNLGRP_CONNTRACK_NEW, _UPDATE and
    /// _DESTROY, and of NFNLGRP_CONNTRACK_EXP_NEW, _UPDATE and _DESTROY.
    private static let groups: UInt8 = 0b11_1111

    /// Of the namespace the thread is in.
    init() throws {
      socket = try System.socket(System.socketNetlink, 12)
      // SOL_SOCKET, SO_RCVBUFFORCE: a full socket would lose events, or have them told later.
      try System.setOption(socket, 1, 33, 4 << 20)
      // struct sockaddr_nl: family, padding, port, groups.
      try System.bind(socket, [16, 0, 0, 0, 0, 0, 0, 0, KernelEvents.groups, 0, 0, 0])
    }

    /// What has come since the last call, oldest first.
    func read() throws -> (connections: [ConnectionEvent], expectations: [ExpectationEvent]) {
      var events: [ConnectionEvent] = []
      var expectations: [ExpectationEvent] = []
      while let bytes = try System.receive(socket, &buffer) {
        for message in NetlinkMessage.split(bytes) {
          if let event = KernelEvents.event(message) { events.append(event) }
          if let event = KernelEvents.expectationEvent(message) { expectations.append(event) }
        }
      }
      return (events, expectations)
    }

    private static func expectationEvent(_ message: NetlinkMessage) -> ExpectationEvent? {
      let kind: ExpectationEvent.Kind
      switch message.type {
      case KernelTable.newExpectation: kind = .new
      case KernelTable.newExpectation + 2: kind = .destroy
      default: return nil
      }
      return KernelTable.expectation(message.attributes).map {
        ExpectationEvent(kind: kind, expectation: $0, timeNanoseconds: System.now())
      }
    }

    private static func event(_ message: NetlinkMessage) -> ConnectionEvent? {
      let kind: ConnectionEventKind
      switch message.type {
      // Only what is new was created.
      case 0x100: kind = message.flags & 0x400 != 0 ? .new : .update
      case 0x102: kind = .destroy
      default: return nil
      }
      let attributes = message.attributes
      var event = ConnectionEvent(
        kind: kind, connection: KernelTable.connection(attributes), timeNanoseconds: System.now())
      event.markChanged = attributes[8] != nil
      return event
    }
  }
#endif
