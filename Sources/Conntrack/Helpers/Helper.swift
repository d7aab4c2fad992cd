// What the helpers have in common: who they are, what they keep of a connection, and what they say
// of a packet. A helper reads the bytes of a connection it was given by a CT rule, and announces the
// connections that these bytes speak of.

import Wire

/// A helper, by the name a rule gives it (`CT --helper NAME`, iptables-extensions(8)).
@frozen
public enum HelperKind: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case none = 0
  case ftp
  case tftp
  case pptp
  case irc

  public var name: String {
    switch self {
    case .none: ""
    case .ftp: "ftp"
    case .tftp: "tftp"
    case .pptp: "pptp"
    case .irc: "irc"
    }
  }

  /// The transport protocol it reads.
  public var protocolNumber: UInt8 {
    switch self {
    case .none: 0
    case .ftp, .pptp, .irc: IPProtocolNumber.tcp
    case .tftp: IPProtocolNumber.udp
    }
  }

  /// The helper of this name. Nil where there is none for this family and protocol.
  public init?(name: String, _ family: AddressFamily, protocolNumber: UInt8) {
    let found = HelperKind.allCases.first {
      $0 != .none && $0.name == name && $0.protocolNumber == protocolNumber
        && $0.families.contains(family)
    }
    guard let found else { return nil }
    self = found
  }

  public var families: [AddressFamily] {
    self == .pptp || self == .irc ? [.ipv4] : [.ipv4, .ipv6]
  }

  /// How many expectations of a class one connection may have, and how long they live.
  func policy(_ classNumber: UInt8) -> HelperPolicy {
    let most =
      switch self {
      case .none, .ftp, .tftp: 1
      case .pptp: 2
      case .irc: 8
      }
    return HelperPolicy(number: Int(rawValue), most: most, timeout: 300_000_000_000)
  }
}

struct HelperPolicy {
  /// One number for each time to live of each helper.
  var number: Int
  var most: Int
  /// Nanoseconds.
  var timeout: Int64

  static let count = HelperKind.allCases.count
}

/// What a helper keeps of a connection, beside its record.
struct HelperRecord: BitwiseCopyable {
  var kind = HelperKind.none
  /// How many expectations it has, by class.
  var expecting: InlineArray<2, UInt8> = [0, 0]
  /// The newest of them, plus one; 0: none.
  var newest: UInt32 = 0
  var lines = FTPLines()
  var call = PPTPCall()
}

/// A connection's relatives, beside its record.
struct Kinship: BitwiseCopyable {
  /// The connection that announced this one, plus one; 0: none.
  var master: UInt32 = 0
  /// How many living connections this one announced.
  var children: UInt32 = 0
}

/// Why a helper drops a packet.
@frozen
public enum HelperDrop: UInt8, Hashable, Sendable, BitwiseCopyable {
  /// It announces a connection in words that cannot be read to the end.
  case unreadable
  /// What it announces cannot be expected: something else waits for the same, or there is no room.
  case notExpected
  /// NAT found no free port for what it announces, or no room to write it.
  case notTranslated
}

/// How an announcement is written, for whoever writes it anew.
@frozen
public enum AnnouncementForm: UInt8, Hashable, Sendable, BitwiseCopyable {
  /// Nothing in the packet says where: the expected connection alone is translated.
  case implied
  /// `10,0,1,2,4,1` (RFC 959, PORT and the answer to PASV)
  case ftpNumbers
  /// `|1|10.0.1.2|1025|` (RFC 2428, EPRT)
  case ftpExtended
  /// `|||1025|` (RFC 2428, the answer to EPSV)
  case ftpExtendedPort
  /// `167772418 1025` (DCC)
  case ircNumbers
}

/// What a packet says of a connection to come.
@frozen
public struct Announcement: Sendable, BitwiseCopyable {
  public var draft: ExpectationDraft
  public var form: AnnouncementForm
  /// Where in the packet the words stand that name its address and port.
  public var offset: Int
  public var length: Int

  public init(_ draft: ExpectationDraft, _ form: AnnouncementForm, offset: Int, length: Int) {
    self.draft = draft
    self.form = form
    self.offset = offset
    self.length = length
  }
}

/// What a helper says of a packet.
@frozen
public enum HelperVerdict: Sendable, BitwiseCopyable {
  case pass
  case drop(HelperDrop)
  case announces(Announcement)
  /// Two bytes of the packet are to be replaced: PPTP's call as the other side knows it.
  case writes(UInt16, offset: Int)
}
