// The table of the kernel under test, through ctnetlink: one entry by its tuple, how many there are, all
// of them. Asking for single entries takes microseconds; a walk through all takes the kernel some
// milliseconds, whatever is in it, since the table is one for all namespaces.

#if os(Linux)
  import Conntrack
  import Wire

  final class KernelTable {
    private let socket: Descriptor
    private var buffer = [UInt8](repeating: 0, count: 65_536)
    /// Of the entry that was asked for last.
    private(set) var details = ProtocolDetails.none

    /// linux/netfilter/nfnetlink_conntrack.h: NFNL_SUBSYS_CTNETLINK << 8, and what may be asked.
    private enum Ask {
      static let newEntry: UInt16 = 0x100
      static let get: UInt16 = 0x101
      static let delete: UInt16 = 0x102
      static let statistics: UInt16 = 0x105
    }

    /// Of the namespace the thread is in.
    init() throws {
      socket = try System.socket(System.socketNetlink, 12)
      // struct sockaddr_nl: family, padding, port, groups.
      try System.bind(socket, [16, 0] + [UInt8](repeating: 0, count: 10))
    }

    /// The entry one of whose tuples this is, in a zone; nil where there is none.
    func entry(_ tuple: Tuple, zone: UInt16) throws -> Connection? {
      var attributes = NetlinkBuilder()
      attributes.nest(1) { KernelTable.add(tuple, to: &$0) }
      if zone != 0 { attributes.add(18, [UInt8(zone >> 8), UInt8(truncatingIfNeeded: zone)]) }
      try System.send(
        socket,
        NetlinkBuilder.message(
          Ask.get, flags: 1, family: tuple.family.rawValue, attributes.bytes))
      for message in try answer() where message.type == Ask.newEntry {
        details = KernelTable.details(message.attributes.nest(4))
        return KernelTable.connection(message)
      }
      return nil
    }

    /// Takes an entry out; nothing happens where it is not there.
    func delete(_ tuple: Tuple, zone: UInt16) throws {
      var attributes = NetlinkBuilder()
      attributes.nest(1) { KernelTable.add(tuple, to: &$0) }
      if zone != 0 { attributes.add(18, [UInt8(zone >> 8), UInt8(truncatingIfNeeded: zone)]) }
      try System.send(
        socket,
        NetlinkBuilder.message(
          Ask.delete, flags: 5, family: tuple.family.rawValue, attributes.bytes))
      _ = try answer()
    }

    /// Takes all entries out.
    func flush() throws {
      try System.send(socket, NetlinkBuilder.message(Ask.delete, flags: 5, []))
      _ = try answer()
    }

    /// How many entries there are, those included that nobody has noticed are over.
    func count() throws -> Int {
      try System.send(socket, NetlinkBuilder.message(Ask.statistics, flags: 1, []))
      for message in try answer() where message.type >> 8 == 1 {
        return Int(message.attributes.number(1) ?? 0)
      }
      return 0
    }

    /// All entries of both families.
    func all() throws -> [Connection] {
      try dump(NetlinkBuilder.message(Ask.get, flags: 0x301, []))
        .compactMap { KernelTable.connection($0) }
    }

    /// All that a request for a list is answered with.
    func dump(_ request: [UInt8]) throws -> [NetlinkMessage] {
      try System.send(socket, request)
      var messages: [NetlinkMessage] = []
      while true {
        for message in try answer() {
          if message.type == NetlinkMessage.done || message.type == NetlinkMessage.error {
            return messages
          }
          messages.append(message)
        }
      }
    }

    private func answer() throws -> [NetlinkMessage] {
      while true {
        if let bytes = try System.receive(socket, &buffer) { return NetlinkMessage.split(bytes) }
        guard System.wait([socket], milliseconds: 2000) else {
          throw CommandError(command: "netlink", output: "no answer within two seconds")
        }
      }
    }

    // MARK: Tuples as attributes

    private static func isICMP(_ number: UInt8) -> Bool {
      number == IPProtocolNumber.icmp || number == IPProtocolNumber.icmpv6
    }

    private static func add(_ tuple: Tuple, to builder: inout NetlinkBuilder) {
      let isIPv4 = tuple.family == .ipv4
      builder.nest(1) {
        $0.add(isIPv4 ? 1 : 3, bytes(tuple.source, tuple.family))
        $0.add(isIPv4 ? 2 : 4, bytes(tuple.destination, tuple.family))
      }
      builder.nest(2) {
        $0.add(1, [tuple.protocolNumber])
        if isICMP(tuple.protocolNumber) {
          let first: UInt16 = isIPv4 ? 4 : 7
          $0.add(
            first, [UInt8(tuple.sourcePort >> 8), UInt8(truncatingIfNeeded: tuple.sourcePort)])
          $0.add(first + 1, [UInt8(tuple.destinationPort >> 8)])
          $0.add(first + 2, [UInt8(truncatingIfNeeded: tuple.destinationPort)])
        } else {
          $0.add(2, [UInt8(tuple.sourcePort >> 8), UInt8(truncatingIfNeeded: tuple.sourcePort)])
          $0.add(
            3,
            [UInt8(tuple.destinationPort >> 8), UInt8(truncatingIfNeeded: tuple.destinationPort)])
        }
      }
    }

    private static func bytes(_ address: IPAddress, _ family: AddressFamily) -> [UInt8] {
      let all = (0..<16).map { index -> UInt8 in
        let half = index < 8 ? address.high : address.low
        return UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * (index % 8)))
      }
      return family == .ipv4 ? Array(all[12...]) : all
    }

    private static func address(_ bytes: ArraySlice<UInt8>?) -> IPAddress {
      let number = { (part: ArraySlice<UInt8>) in part.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
      guard let bytes else { return .any }
      if bytes.count == 4 { return IPAddress(ipv4: UInt32(number(bytes))) }
      return IPAddress(high: number(bytes.prefix(8)), low: number(bytes.suffix(8)))
    }

    static func tuple(_ attributes: NetlinkAttributes) -> Tuple {
      let addresses = attributes.nest(1)
      let transport = attributes.nest(2)
      let isIPv4 = addresses[1] != nil
      let number = UInt8(transport.number(1) ?? 0)
      var tuple = Tuple(
        source: address(addresses[isIPv4 ? 1 : 3]), destination: address(addresses[isIPv4 ? 2 : 4]),
        sourcePort: 0, destinationPort: 0, protocolNumber: number, family: isIPv4 ? .ipv4 : .ipv6)
      if isICMP(number) {
        let first: UInt16 = number == IPProtocolNumber.icmp ? 4 : 7
        tuple.sourcePort = UInt16(transport.number(first) ?? 0)
        tuple.destinationPort =
          UInt16(transport.number(first + 1) ?? 0) << 8 | UInt16(transport.number(first + 2) ?? 0)
      } else {
        tuple.sourcePort = UInt16(transport.number(2) ?? 0)
        tuple.destinationPort = UInt16(transport.number(3) ?? 0)
      }
      return tuple
    }

    private static func connection(_ message: NetlinkMessage) -> Connection? {
      message.type == Ask.newEntry ? connection(message.attributes) : nil
    }

    /// An entry as its attributes tell it; what they leave out is as it is in a new `Connection`.
    static func connection(_ attributes: NetlinkAttributes) -> Connection {
      var connection = Connection(
        original: tuple(attributes.nest(1)), reply: tuple(attributes.nest(2)))
      connection.status = ConnectionStatus(rawValue: UInt32(attributes.number(3) ?? 0))
      connection.timeoutNanoseconds = Int64(attributes.number(7) ?? 0) * 1_000_000_000
      connection.mark = UInt32(attributes.number(8) ?? 0)
      connection.protocolState = protocolState(attributes.nest(4))
      connection.originalCounters = counters(attributes, 9)
      connection.replyCounters = counters(attributes, 10)
      connection.helperName = attributes.nest(5).text(1)
      if let zone = attributes.number(18) {
        connection.zone = UInt16(zone)
      } else {
        for (direction, type) in [(ZoneDirection.original, UInt16(1)), (.reply, 2)] {
          guard let zone = attributes.nest(type).number(3) else { continue }
          connection.zone = UInt16(zone)
          connection.zoneDirection = direction
        }
      }
      let times = attributes.nest(20)
      connection.startNanoseconds = times.number(1).map { Int64($0) }
      connection.stopNanoseconds = times.number(2).map { Int64($0) }
      return connection
    }

    /// linux/netfilter/nfnetlink_conntrack.h: CTA_PROTOINFO_TCP 1, CTA_PROTOINFO_SCTP 3.
    private static func protocolState(_ attributes: NetlinkAttributes) -> ProtocolState {
      if let number = attributes.nest(1).number(1), let state = TCPState(rawValue: UInt8(number)) {
        return .tcp(state)
      }
      if let number = attributes.nest(3).number(1), let state = SCTPState(rawValue: UInt8(number)) {
        return .sctp(state)
      }
      return .none
    }

    private static func details(_ attributes: NetlinkAttributes) -> ProtocolDetails {
      let tcp = attributes.nest(1)
      if tcp[1] != nil {
        // The flags come with a mask behind them.
        let flags = { (type: UInt16) in UInt8(tcp[type]?.first ?? 0) }
        return .tcp(
          originalScale: UInt8(tcp.number(2) ?? 0), replyScale: UInt8(tcp.number(3) ?? 0),
          originalFlags: flags(4), replyFlags: flags(5))
      }
      let sctp = attributes.nest(3)
      guard sctp[1] != nil else { return .none }
      return .sctp(
        originalTag: UInt32(sctp.number(2) ?? 0), replyTag: UInt32(sctp.number(3) ?? 0))
    }

    private static func counters(
      _ attributes: NetlinkAttributes, _ type: UInt16
    ) -> ConnectionCounters? {
      guard attributes[type] != nil else { return nil }
      let counters = attributes.nest(type)
      return ConnectionCounters(
        packets: counters.number(1) ?? 0, bytes: counters.number(2) ?? 0)
    }
  }
#endif
