// What a capture says of one frame and of the interface it was seen on, for everyone who reads or
// writes captures. The frame's bytes stay with the reader.

/// Which way a frame went, seen from the machine that captured it.
@frozen
public enum FrameDirection: UInt8, Hashable, Sendable, BitwiseCopyable {
  /// Values are those of `epb_flags` (pcapng, section 4.3.1).
  case inbound = 1
  case outbound = 2
}

/// One frame of a capture, without its bytes.
@frozen
public struct CapturedFrame: Hashable, Sendable, BitwiseCopyable {
  /// Its number in the capture, from 1.
  public var number: Int
  /// When it was seen, nanoseconds since 1970 (UTC). A simple packet block has no time: it gets
  /// that of the frame before, or 0. Times no `Int64` can hold become the nearest it can.
  public var timeNanoseconds: Int64
  /// The interface, as an index into the reader's `interfaces`.
  public var interfaceIndex: Int
  /// The link layer's number in the registry of tcpdump.org (`LinkType` has names).
  public var linkType: Int
  /// What `epb_flags` says; nil where the capture does not say.
  public var direction: FrameDirection?
  /// How many bytes of it the capture holds.
  public var capturedLength: Int
  /// How many it had on the wire.
  public var originalLength: Int

  @inlinable
  public init(
    number: Int, timeNanoseconds: Int64, interfaceIndex: Int, linkType: Int,
    direction: FrameDirection?, capturedLength: Int, originalLength: Int
  ) {
    self.number = number
    self.timeNanoseconds = timeNanoseconds
    self.interfaceIndex = interfaceIndex
    self.linkType = linkType
    self.direction = direction
    self.capturedLength = capturedLength
    self.originalLength = originalLength
  }
}

/// One interface of a capture (a pcapng interface description block, or a pcap file's only one).
public struct CaptureInterface: Hashable, Sendable {
  /// `if_name`; nil where the capture does not say, as pcap never does.
  public var name: String?
  /// `if_description`
  public var descriptionText: String?
  /// The link layer's number in the registry of tcpdump.org (`LinkType` has names).
  public var linkType: Int
  /// The longest frame kept whole, bytes; 0 for no limit.
  public var snapshotLength: Int
  /// `if_MACaddr`: the 48 bits of the interface's own address.
  public var macAddress: UInt64?

  public init(
    name: String?, descriptionText: String? = nil, linkType: Int, snapshotLength: Int = 0,
    macAddress: UInt64? = nil
  ) {
    self.name = name
    self.descriptionText = descriptionText
    self.linkType = linkType
    self.snapshotLength = snapshotLength
    self.macAddress = macAddress
  }
}

/// Names for the link layers Weir meets (www.tcpdump.org/linktypes.html).
public enum LinkType {
  /// BSD loopback: a family in the capturing machine's byte order.
  public static let null = 0
  public static let ethernet = 1
  /// Raw IP, as some systems' own number has it.
  public static let rawBSD = 12
  /// Raw IP, as OpenBSD's own number has it.
  public static let rawOpenBSD = 14
  public static let raw = 101
  /// OpenBSD loopback: a family in network byte order.
  public static let loop = 108
  /// Linux cooked capture, what `-i any` gives.
  public static let linuxSLL = 113
  public static let ipv4 = 228
  public static let ipv6 = 229
  /// Linux cooked capture, version 2: with the interface's index.
  public static let linuxSLL2 = 276
}
