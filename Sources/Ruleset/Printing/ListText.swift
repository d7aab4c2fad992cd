// What `iptables -L` says of a rule's matches and target, being written: each match and target adds its
// own words.

import Wire

/// The end of one line of `iptables -L`.
public struct ListText: Sendable {
  public private(set) var text = ""
  /// Whose addresses are written.
  public let family: AddressFamily
  /// `-n`: ports by number.
  public let isNumeric: Bool

  public init(family: AddressFamily, isNumeric: Bool) {
    self.family = family
    self.isNumeric = isNumeric
  }

  /// Adds words as they are.
  public mutating func add(_ words: String) {
    text += " " + words
  }

  /// Adds a name and its value, `!` directly before the value where inverted.
  public mutating func add(_ name: String, _ value: String, sign isInverted: Bool = false) {
    add("\(name) \(isInverted ? "!" : "")\(value)")
  }

  /// A port by number, or by the name of its service.
  func port(_ port: UInt16) -> String {
    isNumeric ? "\(port)" : ServiceNames.name(port) ?? "\(port)"
  }

  /// Adds `spt:22`, `dpts:!5:10`; nothing where every port fits.
  mutating func add(_ side: String, _ ports: PortCondition?) {
    guard let ports, !ports.isWhole else { return }
    let sign = ports.isInverted ? "!" : ""
    if ports.low == ports.high {
      add("\(side)pt:\(sign)\(port(ports.low))")
    } else {
      add("\(side)pts:\(sign)\(port(ports.low)):\(port(ports.high))")
    }
  }
}
