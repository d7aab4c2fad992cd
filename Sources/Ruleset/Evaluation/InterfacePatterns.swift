// Which interface fits which pattern, worked out once when an interface appears, so that a rule asks
// one table entry.

/// A bit for each (interface, pattern); row 0 is "no interface", whose name is empty.
@usableFromInline
struct InterfacePatterns: Sendable {
  private let patterns: [String]
  @usableFromInline var fits: [Bool]
  @usableFromInline let width: Int
  private var known = 0

  init(_ patterns: [String]) {
    self.patterns = patterns
    width = patterns.count
    fits = patterns.map { InterfaceCondition(pattern: $0).matches("") }
  }

  mutating func learn(_ interfaces: InterfaceTable) {
    while known < interfaces.count {
      let name = interfaces.names[known]
      for pattern in patterns {
        fits.append(InterfaceCondition(pattern: pattern).matches(name))
      }
      known += 1
    }
  }

  @inlinable func matches(_ interface: InterfaceID, pattern: Int32) -> Bool {
    // An interface that was not learnt lies beyond the table; it is treated as none.
    var index = (Int(interface.rawValue) &+ 1) &* width &+ Int(pattern)
    if index < 0 || index >= fits.count { index = Int(pattern) }
    return fits[index]
  }
}
