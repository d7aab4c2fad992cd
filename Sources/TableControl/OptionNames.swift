// The options of conntrack(8), by the names its refusals use, and how getopt_long(3) finds them. For
// `OptionReader`.

import ConntrackFormat

/// An option that is no command. The raw value is the name conntrack calls it by; those of a protocol come
/// after `-p`.
enum ConntrackOption: String, CaseIterable {
  // In the order in which conntrack checks them.
  case src, dst
  case replySource = "reply-src"
  case replyDestination = "reply-dst"
  case protonum, timeout, status, zero
  case eventMask = "event-mask"
  case tupleSource = "tuple-src"
  case tupleDestination = "tuple-dst"
  case maskSource = "mask-src"
  case maskDestination = "mask-dst"
  case mark, id, family
  case sourceNAT = "src-nat"
  case destinationNAT = "dst-nat"
  case output, secmark
  case bufferSize = "buffer-size"
  case anyNAT = "any-nat"
  case zone, label
  case labelAdd = "label-add"
  case labelDelete = "label-del"
  case originalZone = "orig-zone"
  case replyZone = "reply-zone"
  // Of protocols.
  case sport, dport
  case replyPortSource = "reply-port-src"
  case replyPortDestination = "reply-port-dst"
  case maskPortSource = "mask-port-src"
  case maskPortDestination = "mask-port-dst"
  case tuplePortSource = "tuple-port-src"
  case tuplePortDestination = "tuple-port-dst"
  case state
  case originalTag = "orig-vtag"
  case replyTag = "reply-vtag"
  case role
  case srckey, dstkey
  case replyKeySource = "reply-key-src"
  case replyKeyDestination = "reply-key-dst"
  case icmpType = "icmp-type"
  case icmpCode = "icmp-code"
  case icmpID = "icmp-id"

  /// Those that need no protocol.
  static let common = Array(allCases.prefix { $0 != .sport })

  enum Value {
    case none
    case needed
    /// The next word, unless that is an option.
    case perhaps
  }

  var value: Value {
    switch self {
    case .zero: .none
    case .sourceNAT, .destinationNAT, .anyNAT, .labelDelete: .perhaps
    default: .needed
    }
  }

  static let letters: [Character: ConntrackOption] = [
    "s": .src, "d": .dst, "r": .replySource, "q": .replyDestination, "p": .protonum,
    "t": .timeout, "u": .status, "z": .zero, "e": .eventMask, "m": .mark, "i": .id,
    "f": .family, "n": .sourceNAT, "g": .destinationNAT, "o": .output, "c": .secmark,
    "b": .bufferSize, "j": .anyNAT, "w": .zone, "l": .label,
  ]

  /// Long names beside the raw value.
  private static let otherNames: [String: ConntrackOption] = [
    "orig-src": .src, "orig-dst": .dst,
  ]

  private static let portNames: [String: ConntrackOption] = [
    "orig-port-src": .sport, "orig-port-dst": .dport, "sport": .sport, "dport": .dport,
    "reply-port-src": .replyPortSource, "reply-port-dst": .replyPortDestination,
    "mask-port-src": .maskPortSource, "mask-port-dst": .maskPortDestination,
    "tuple-port-src": .tuplePortSource, "tuple-port-dst": .tuplePortDestination,
  ]

  /// Every long name there is, given the protocol of `-p`.
  static func longNames(_ protocolNumber: UInt8?) -> [String: ConntrackOption] {
    var names = otherNames
    for option in common { names[option.rawValue] = option }
    guard let protocolNumber else { return names }
    switch protocolNumber {
    case 6, 17, 33, 132, 136:
      names.merge(portNames) { $1 }
      if [6, 33, 132].contains(protocolNumber) { names["state"] = .state }
      if protocolNumber == 132 {
        names["orig-vtag"] = .originalTag
        names["reply-vtag"] = .replyTag
      }
      if protocolNumber == 33 { names["role"] = .role }
    case 1, 58:
      let prefix = protocolNumber == 1 ? "icmp" : "icmpv6"
      names["\(prefix)-type"] = .icmpType
      names["\(prefix)-code"] = .icmpCode
      names["\(prefix)-id"] = .icmpID
    case 47:
      for (name, option) in [
        ("srckey", ConntrackOption.srckey), ("orig-key-src", .srckey), ("dstkey", .dstkey),
        ("orig-key-dst", .dstkey), ("reply-key-src", .replyKeySource),
        ("reply-key-dst", .replyKeyDestination), ("mask-key-src", .maskPortSource),
        ("mask-key-dst", .maskPortDestination), ("tuple-key-src", .tuplePortSource),
        ("tuple-key-dst", .tuplePortDestination),
      ] { names[name] = option }
    default: break
    }
    return names
  }

  /// The name conntrack calls it by, which for some depends on the protocol.
  func name(_ protocolNumber: UInt8?) -> String {
    switch (self, protocolNumber) {
    case (.maskPortSource, 47): "mask-key-src"
    case (.maskPortDestination, 47): "mask-key-dst"
    case (.tuplePortSource, 47): "tuple-key-src"
    case (.tuplePortDestination, 47): "tuple-key-dst"
    case (.icmpType, 58): "icmpv6-type"
    case (.icmpCode, 58): "icmpv6-code"
    case (.icmpID, 58): "icmpv6-id"
    default: rawValue
    }
  }
}

/// What a command line asks for.
public enum ConntrackOperation: String, Hashable, Sendable, CaseIterable {
  case list = "-L"
  case create = "-I"
  case add = "-A"
  case update = "-U"
  case delete = "-D"
  case get = "-G"
  case flush = "-F"
  case events = "-E"
  case count = "-C"
  case statistics = "-S"
  case help = "-h"
  case version = "-V"

  static let longNames: [String: ConntrackOperation] = [
    "dump": .list, "create": .create, "add": .add, "update": .update, "delete": .delete,
    "get": .get, "flush": .flush, "event": .events, "count": .count, "stats": .statistics,
    "help": .help, "version": .version,
  ]

  /// Whether a table may be named after it.
  var takesTable: Bool { self != .help && self != .version }
}

/// Which table an operation is about.
public enum ConntrackTable: String, Hashable, Sendable, CaseIterable {
  case conntrack
  case expect
  case dying
  case unconfirmed
}
