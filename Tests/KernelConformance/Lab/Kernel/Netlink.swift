// Netlink messages as bytes: attributes put together and taken apart. For the connection table and the
// log of the kernel under test. Numbers are those of linux/netlink.h and linux/netfilter/*.h.

/// A message or a nest of attributes under construction, in the machine's byte order.
struct NetlinkBuilder {
  private(set) var bytes: [UInt8] = []

  /// An attribute; numbers inside are big endian, as netfilter wants them.
  mutating func add(_ type: UInt16, _ value: [UInt8]) {
    append(UInt16(4 + value.count))
    append(type)
    bytes += value
    while bytes.count % 4 != 0 { bytes.append(0) }
  }

  mutating func nest(_ type: UInt16, _ fill: (inout NetlinkBuilder) -> Void) {
    var inner = NetlinkBuilder()
    fill(&inner)
    add(type | 0x8000, inner.bytes)
  }

  private mutating func append(_ value: UInt16) {
    bytes += [UInt8(truncatingIfNeeded: value), UInt8(value >> 8)]
  }

  /// A whole message of a netfilter subsystem around these attributes.
  static func message(
    _ type: UInt16, flags: UInt16, family: UInt8 = 0, resource: UInt16 = 0, _ attributes: [UInt8]
  ) -> [UInt8] {
    let body = [family, 0, UInt8(resource >> 8), UInt8(truncatingIfNeeded: resource)] + attributes
    var header = NetlinkBuilder()
    let length = UInt32(16 + body.count)
    header.append(UInt16(truncatingIfNeeded: length))
    header.append(UInt16(length >> 16))
    header.append(type)
    header.append(flags)
    return header.bytes + [0, 0, 0, 0, 0, 0, 0, 0] + body
  }
}

/// One message that came.
struct NetlinkMessage {
  static let error: UInt16 = 2
  static let done: UInt16 = 3

  var type: UInt16
  var flags: UInt16
  /// Behind the netlink header.
  var body: ArraySlice<UInt8>

  /// The messages of one datagram. The kernel made it, so what does not fit is left out silently.
  static func split(_ bytes: ArraySlice<UInt8>) -> [NetlinkMessage] {
    var messages: [NetlinkMessage] = []
    var at = bytes.startIndex
    while at + 16 <= bytes.endIndex {
      let length = Int(little(bytes, at, 4))
      guard length >= 16, at + length <= bytes.endIndex else { break }
      messages.append(
        NetlinkMessage(
          type: UInt16(little(bytes, at + 4, 2)), flags: UInt16(little(bytes, at + 6, 2)),
          body: bytes[(at + 16)..<(at + length)]))
      at += (length + 3) & ~3
    }
    return messages
  }

  /// Of an error message: 0, or the negative error number.
  var errorNumber: Int32 {
    Int32(truncatingIfNeeded: Int(NetlinkMessage.little(body, body.startIndex, 4)))
  }

  /// The attributes of a netfilter message, behind its four-byte header.
  var attributes: NetlinkAttributes { NetlinkAttributes(body.dropFirst(4)) }

  /// A number in the machine's order (little endian on all that this runs on).
  static func little(_ bytes: ArraySlice<UInt8>, _ at: Int, _ count: Int) -> UInt64 {
    (0..<count).reduce(0) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) }
  }
}

/// Attributes, found by type.
struct NetlinkAttributes {
  private var values: [UInt16: ArraySlice<UInt8>] = [:]

  init(_ bytes: ArraySlice<UInt8>) {
    var at = bytes.startIndex
    while at + 4 <= bytes.endIndex {
      let length = Int(NetlinkMessage.little(bytes, at, 2))
      guard length >= 4, at + length <= bytes.endIndex else { break }
      let type = UInt16(NetlinkMessage.little(bytes, at + 2, 2)) & 0x3fff
      values[type] = bytes[(at + 4)..<(at + length)]
      at += (length + 3) & ~3
    }
  }

  subscript(type: UInt16) -> ArraySlice<UInt8>? { values[type] }

  func nest(_ type: UInt16) -> NetlinkAttributes { NetlinkAttributes(values[type] ?? []) }

  /// A number, big endian, of however many bytes it has; nil where it is absent.
  func number(_ type: UInt16) -> UInt64? {
    values[type].map { $0.reduce(0) { $0 << 8 | UInt64($1) } }
  }

  func text(_ type: UInt16) -> String? {
    values[type].map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
