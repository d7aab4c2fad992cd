// One rule as a plain value: the conditions every rule may have (addresses, interfaces, protocol,
// fragment), the matches after them, and the target.

import Wire

/// Where a rule was written.
public struct SourceLocation: Hashable, Sendable, CustomStringConvertible {
  public var file: String
  /// From 1; 0 where there is no line.
  public var line: Int
  /// Of the command's first option, in characters from 1; 0 where there is no line.
  public var column: Int

  public init(file: String = "", line: Int = 0, column: Int = 0) {
    self.file = file
    self.line = line
    self.column = column
  }

  public var description: String { "\(file):\(line)" }
}

/// One rule of a chain.
public struct Rule: Hashable, Sendable {
  /// What a packet must be, and what is done with it then.
  public var specification: RuleSpecification
  public var counters: RuleCounters
  public var location: SourceLocation
  /// The line as it was written.
  public var text: String

  public init(
    _ specification: RuleSpecification, counters: RuleCounters = .init(),
    location: SourceLocation = .init(), text: String = ""
  ) {
    self.specification = specification
    self.counters = counters
    self.location = location
    self.text = text
  }
}

/// What a rule says, apart from where it stands: two rules are the same to `iptables -D` when this
/// is equal.
public struct RuleSpecification: Hashable, Sendable {
  public var source: AddressCondition?
  public var destination: AddressCondition?
  public var inInterface: InterfaceCondition?
  public var outInterface: InterfaceCondition?
  public var transport: ProtocolCondition?
  /// `-f` is true, `! -f` false.
  public var isLaterFragment: Bool?
  public var matches: [Match]
  /// nil: the rule only counts.
  public var target: Target?

  public init() {
    matches = []
  }
}

/// `-s` or `-d`: an address under a mask.
public struct AddressCondition: Hashable, Sendable {
  /// Bits outside `mask` are clear.
  public var address: IPAddress
  /// Any mask, not only a prefix.
  public var mask: IPAddress
  public var isInverted: Bool

  public init(address: IPAddress, mask: IPAddress, isInverted: Bool = false) {
    self.address = IPAddress(high: address.high & mask.high, low: address.low & mask.low)
    self.mask = mask
    self.isInverted = isInverted
  }

  /// The mask's length where the mask is a prefix, else nil.
  public func prefixLength(_ family: AddressFamily) -> Int? {
    let length = mask.high.nonzeroBitCount + mask.low.nonzeroBitCount
    return IPAddress.mask(length, family) == mask ? length : nil
  }
}

/// `-i` or `-o`: an interface's name, or the beginning of one (`eth+`).
public struct InterfaceCondition: Hashable, Sendable {
  /// As written; a `+` at the end stands for any rest.
  public var pattern: String
  public var isInverted: Bool

  public init(pattern: String, isInverted: Bool = false) {
    self.pattern = pattern
    self.isInverted = isInverted
  }

  /// Whether an interface of this name is meant, before inversion. An absent interface has the
  /// empty name.
  public func matches(_ name: String) -> Bool {
    guard pattern.utf8.last == UInt8(ascii: "+") else { return name == pattern }
    return name.utf8.starts(with: pattern.utf8.dropLast())
  }
}

/// `-p`: the transport protocol's number, never 0.
public struct ProtocolCondition: Hashable, Sendable {
  public var number: UInt8
  public var isInverted: Bool

  public init(number: UInt8, isInverted: Bool = false) {
    self.number = number
    self.isInverted = isInverted
  }
}
