// A connection as libnetfilter_conntrack holds it: filled from a request, or read from a message of the
// kernel's. For `KernelTable`.

import CNetfilterConntrack
import Conntrack
import Glibc
import TableControl
import Wire

@safe final class ConnectionObject {
  // The library's own object, freed in deinit where it is this one's.
  let pointer: OpaquePointer
  private let isOwn: Bool

  init() throws {
    guard let pointer = unsafe nfct_new() else { throw TableError.outOfMemory }
    unsafe self.pointer = unsafe pointer
    isOwn = true
  }

  /// Looks at an object of the library's that outlives this one.
  init(borrowing pointer: OpaquePointer) {
    unsafe self.pointer = unsafe pointer
    isOwn = false
  }

  deinit { if isOwn { unsafe nfct_destroy(pointer) } }

  // MARK: Attributes

  func set(_ value: UInt8, _ attribute: nf_conntrack_attr) {
    unsafe nfct_set_attr_u8(pointer, attribute, value)
  }

  func set(_ value: UInt16, _ attribute: nf_conntrack_attr) {
    unsafe nfct_set_attr_u16(pointer, attribute, value)
  }

  func set(_ value: UInt32, _ attribute: nf_conntrack_attr) {
    unsafe nfct_set_attr_u32(pointer, attribute, value)
  }

  /// An address in network order: four bytes or sixteen, as `attribute` has them.
  func set(
    _ address: IPAddress, _ family: AddressFamily, _ ipv4: nf_conntrack_attr,
    _ ipv6: nf_conntrack_attr
  ) {
    if family == .ipv4 { return set(address.ipv4.bigEndian, ipv4) }
    var words = (address.high.bigEndian, address.low.bigEndian)
    // Sixteen bytes, copied by the library.
    unsafe withUnsafeBytes(of: &words) { unsafe nfct_set_attr(pointer, ipv6, $0.baseAddress) }
  }

  func has(_ attribute: nf_conntrack_attr) -> Bool {
    unsafe nfct_attr_is_set(pointer, attribute) > 0
  }

  func byte(_ attribute: nf_conntrack_attr) -> UInt8 {
    unsafe nfct_get_attr_u8(pointer, attribute)
  }

  func short(_ attribute: nf_conntrack_attr) -> UInt16 {
    unsafe nfct_get_attr_u16(pointer, attribute)
  }

  func word(_ attribute: nf_conntrack_attr) -> UInt32 {
    unsafe nfct_get_attr_u32(pointer, attribute)
  }

  func long(_ attribute: nf_conntrack_attr) -> UInt64 {
    unsafe nfct_get_attr_u64(pointer, attribute)
  }

  func string(_ attribute: nf_conntrack_attr) -> String? {
    guard has(attribute), let bytes = unsafe nfct_get_attr(pointer, attribute) else { return nil }
    // The library ends it with a zero.
    return unsafe String(cString: bytes.assumingMemoryBound(to: CChar.self))
  }

  func address(
    _ family: AddressFamily, _ ipv4: nf_conntrack_attr, _ ipv6: nf_conntrack_attr
  ) -> IPAddress {
    if family == .ipv4 { return IPAddress(ipv4: UInt32(bigEndian: word(ipv4))) }
    guard let bytes = unsafe nfct_get_attr(pointer, ipv6) else { return .any }
    // Sixteen bytes.
    return unsafe IPAddress(
      high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
      low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
  }

  var labels: ConnectionLabels? {
    guard has(ATTR_CONNLABELS), let bits = unsafe nfct_get_attr(pointer, ATTR_CONNLABELS) else {
      return nil
    }
    var labels = ConnectionLabels()
    let mask = OpaquePointer(bits)
    for bit in UInt8(0)..<128 where unsafe nfct_bitmask_test_bit(mask, UInt32(bit)) > 0 {
      labels[bit] = true
    }
    return labels
  }

  /// The library takes the mask over.
  func set(_ labels: ConnectionLabels, _ attribute: nf_conntrack_attr) {
    guard let mask = unsafe nfct_bitmask_new(127) else { return }
    for bit in UInt8(0)..<128 where labels[bit] { unsafe nfct_bitmask_set_bit(mask, UInt32(bit)) }
    unsafe nfct_set_attr(pointer, attribute, UnsafeRawPointer(mask))
  }
}

extension ConnectionObject {
  // MARK: Tuples

  func setOriginal(_ tuple: TupleRequest, _ family: AddressFamily) {
    if let source = tuple.source { set(source, family, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC) }
    if let destination = tuple.destination {
      set(destination, family, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST)
    }
    set(UInt8(truncatingIfNeeded: family.rawValue), ATTR_ORIG_L3PROTO)
    guard let number = tuple.protocolNumber else { return }
    set(number, ATTR_ORIG_L4PROTO)
    if number == 1 || number == 58 {
      if let query = tuple.destinationPort {
        set(UInt8(query >> 8), ATTR_ICMP_TYPE)
        set(UInt8(query & 0xff), ATTR_ICMP_CODE)
      }
      if let id = tuple.sourcePort { set(id.bigEndian, ATTR_ICMP_ID) }
    } else {
      if let port = tuple.sourcePort { set(port.bigEndian, ATTR_ORIG_PORT_SRC) }
      if let port = tuple.destinationPort { set(port.bigEndian, ATTR_ORIG_PORT_DST) }
    }
  }

  func setReply(_ tuple: TupleRequest, _ family: AddressFamily) {
    if let source = tuple.source { set(source, family, ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV6_SRC) }
    if let destination = tuple.destination {
      set(destination, family, ATTR_REPL_IPV4_DST, ATTR_REPL_IPV6_DST)
    }
    set(UInt8(truncatingIfNeeded: family.rawValue), ATTR_REPL_L3PROTO)
    guard let number = tuple.protocolNumber else { return }
    set(number, ATTR_REPL_L4PROTO)
    if number != 1 && number != 58 {
      if let port = tuple.sourcePort { set(port.bigEndian, ATTR_REPL_PORT_SRC) }
      if let port = tuple.destinationPort { set(port.bigEndian, ATTR_REPL_PORT_DST) }
    }
  }

  // MARK: Requests

  func fill(_ request: ConnectionRequest, _ family: AddressFamily) {
    if !request.original.isEmpty { setOriginal(request.original, family) }
    if !request.reply.isEmpty { setReply(request.reply, family) }
    if let status = request.status { set(status.rawValue, ATTR_STATUS) }
    if let seconds = request.timeoutSeconds { set(seconds, ATTR_TIMEOUT) }
    if let mark = request.mark { set(mark, ATTR_MARK) }
    if let zone = request.zone { set(zone, request.zoneDirection.attribute) }
    if let labels = request.labels { set(labels, ATTR_CONNLABELS) }
    if let mask = request.labelMask { set(mask, ATTR_CONNLABELS_MASK) }
    switch request.protocolState {
    case .tcp(let state):
      set(state.rawValue, ATTR_TCP_STATE)
      // Its windows are not known, so nothing is held against it; SACK may be in use.
      for attribute in [
        ATTR_TCP_FLAGS_ORIG, ATTR_TCP_FLAGS_REPL, ATTR_TCP_MASK_ORIG, ATTR_TCP_MASK_REPL,
      ] { set(UInt8(0x0a), attribute) }
    case .sctp(let state): set(state.rawValue, ATTR_SCTP_STATE)
    case .dccp(let state): set(state.rawValue, ATTR_DCCP_STATE)
    case .some(.none), nil: break
    }
    if let tag = request.originalTag { set(tag, ATTR_SCTP_VTAG_ORIG) }
    if let tag = request.replyTag { set(tag, ATTR_SCTP_VTAG_REPL) }
    if let isServer = request.isServer { set(UInt8(isServer ? 1 : 0), ATTR_DCCP_ROLE) }
    if let nat = request.sourceNAT {
      set(nat.address, family, ATTR_SNAT_IPV4, ATTR_SNAT_IPV6)
      if let port = nat.port { set(port.bigEndian, ATTR_SNAT_PORT) }
    }
    if let nat = request.destinationNAT {
      set(nat.address, family, ATTR_DNAT_IPV4, ATTR_DNAT_IPV6)
      if let port = nat.port { set(port.bigEndian, ATTR_DNAT_PORT) }
    }
  }

  /// Reads a message; false where it tells of no connection.
  func parse(_ message: NetlinkMessage) -> Bool {
    unsafe nfct_nlmsg_parse(message.header, pointer) == 0
  }

  /// Adds this connection's attributes to a request.
  func build(_ request: NetlinkRequest) throws {
    if unsafe nfct_nlmsg_build(request.header, pointer) < 0 { throw TableError(number: errno) }
  }

  // MARK: Reading

  /// What a message told.
  var connection: Connection? {
    guard let original = tuple(.original), let reply = tuple(.reply) else { return nil }
    var connection = Connection(original: original, reply: reply)
    connection.status = ConnectionStatus(rawValue: word(ATTR_STATUS))
    connection.timeoutNanoseconds = Int64(word(ATTR_TIMEOUT)) * 1_000_000_000
    connection.mark = word(ATTR_MARK)
    connection.protocolState = protocolState(original.protocolNumber)
    for (attribute, direction) in [
      (ATTR_ZONE, ZoneDirection.both), (ATTR_ORIG_ZONE, .original), (ATTR_REPL_ZONE, .reply),
    ] where has(attribute) {
      connection.zone = short(attribute)
      connection.zoneDirection = direction
    }
    if has(ATTR_ORIG_COUNTER_PACKETS) {
      connection.originalCounters = ConnectionCounters(
        packets: long(ATTR_ORIG_COUNTER_PACKETS), bytes: long(ATTR_ORIG_COUNTER_BYTES))
    }
    if has(ATTR_REPL_COUNTER_PACKETS) {
      connection.replyCounters = ConnectionCounters(
        packets: long(ATTR_REPL_COUNTER_PACKETS), bytes: long(ATTR_REPL_COUNTER_BYTES))
    }
    if has(ATTR_TIMESTAMP_START) {
      connection.startNanoseconds = Int64(clamping: long(ATTR_TIMESTAMP_START))
    }
    if has(ATTR_TIMESTAMP_STOP) {
      connection.stopNanoseconds = Int64(clamping: long(ATTR_TIMESTAMP_STOP))
    }
    if has(ATTR_SCTP_VTAG_ORIG) { connection.originalTag = word(ATTR_SCTP_VTAG_ORIG) }
    if has(ATTR_SCTP_VTAG_REPL) { connection.replyTag = word(ATTR_SCTP_VTAG_REPL) }
    connection.id = word(ATTR_ID)
    connection.useCount = word(ATTR_USE)
    connection.labels = labels
    connection.helperName = string(ATTR_HELPER_NAME)
    connection.securityContext = string(ATTR_SECCTX)
    return connection
  }

  func tuple(_ direction: Direction) -> Tuple? {
    let isOriginal = direction == .original
    let family: AddressFamily
    switch Int32(byte(isOriginal ? ATTR_ORIG_L3PROTO : ATTR_REPL_L3PROTO)) {
    case 2: family = .ipv4
    case 10: family = .ipv6
    default: return nil
    }
    let number = byte(isOriginal ? ATTR_ORIG_L4PROTO : ATTR_REPL_L4PROTO)
    var tuple = Tuple(
      source: isOriginal
        ? address(family, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC)
        : address(family, ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV6_SRC),
      destination: isOriginal
        ? address(family, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST)
        : address(family, ATTR_REPL_IPV4_DST, ATTR_REPL_IPV6_DST),
      sourcePort: UInt16(bigEndian: short(isOriginal ? ATTR_ORIG_PORT_SRC : ATTR_REPL_PORT_SRC)),
      destinationPort: UInt16(
        bigEndian: short(isOriginal ? ATTR_ORIG_PORT_DST : ATTR_REPL_PORT_DST)),
      protocolNumber: number, family: family)
    if tuple.isICMPQuery {
      tuple.sourcePort = UInt16(bigEndian: short(ATTR_ICMP_ID))
      tuple.destinationPort = UInt16(byte(ATTR_ICMP_TYPE)) << 8 | UInt16(byte(ATTR_ICMP_CODE))
      // The library keeps one direction's type only.
      if !isOriginal, let answer = tuple.inverted {
        tuple.destinationPort = answer.destinationPort
      }
    }
    return tuple
  }

  private func protocolState(_ number: UInt8) -> ProtocolState {
    switch number {
    case IPProtocolNumber.tcp where has(ATTR_TCP_STATE):
      .tcp(TCPState(rawValue: byte(ATTR_TCP_STATE)) ?? .none)
    case IPProtocolNumber.sctp where has(ATTR_SCTP_STATE):
      .sctp(SCTPState(rawValue: byte(ATTR_SCTP_STATE)) ?? .none)
    case 33 where has(ATTR_DCCP_STATE):
      .dccp(DCCPState(rawValue: byte(ATTR_DCCP_STATE)) ?? .none)
    default: .none
    }
  }
}

extension ZoneDirection {
  var attribute: nf_conntrack_attr {
    switch self {
    case .both: ATTR_ZONE
    case .original: ATTR_ORIG_ZONE
    case .reply: ATTR_REPL_ZONE
    }
  }
}
