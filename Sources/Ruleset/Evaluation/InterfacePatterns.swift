// Which interface fits which pattern. Names fall into classes: each name that some rule spells out is
// one, and so are all others whose longest matching pattern with `+` is the same. Sorted by name, the
// classes that fit a pattern stand in a row, so a rule compares two numbers, and interfaces may appear
// at any time.

/// The classes of interfaces, and the row of classes of each pattern.
@usableFromInline
struct InterfacePatterns: ~Copyable, Sendable {
  /// Classes `low` to `high`.
  @usableFromInline
  struct Span: BitwiseCopyable, Sendable {
    @usableFromInline var low: UInt32
    @usableFromInline var high: UInt32
  }

  @usableFromInline let spans: FlatArray<Span>
  /// The class of each interface by number plus 1; of "no interface", whose name is empty, at 0.
  @usableFromInline private(set) var classes: FlatArray<UInt32>
  private let spelledOut: [[UInt8]: UInt32]
  private let beginnings: [[UInt8]: UInt32]

  init(_ patterns: [String]) {
    // A pattern's beginning comes before a name that is equal to it.
    struct Entry {
      var bytes: [UInt8]
      var isBeginning: Bool
      var pattern: Int
    }
    var entries = patterns.enumerated().map { number, pattern in
      let isBeginning = pattern.utf8.last == UInt8(ascii: "+")
      return Entry(
        bytes: Array(isBeginning ? pattern.utf8.dropLast() : pattern.utf8[...]),
        isBeginning: isBeginning, pattern: number)
    }
    entries.sort {
      $0.bytes == $1.bytes
        ? $0.isBeginning && !$1.isBeginning : $0.bytes.lexicographicallyPrecedes($1.bytes)
    }
    var spans = [Span](repeating: Span(low: 0, high: 0), count: patterns.count)
    var spelledOut: [[UInt8]: UInt32] = [:]
    var beginnings: [[UInt8]: UInt32] = [:]
    for (place, entry) in entries.enumerated() {
      // Class 0 fits nothing.
      let number = UInt32(place + 1)
      var last = place
      if entry.isBeginning {
        beginnings[entry.bytes] = number
        while last + 1 < entries.count, entries[last + 1].bytes.starts(with: entry.bytes) {
          last += 1
        }
      } else {
        spelledOut[entry.bytes] = number
      }
      spans[entry.pattern] = Span(low: number, high: UInt32(last + 1))
    }
    self.spans = FlatArray(spans)
    self.spelledOut = spelledOut
    self.beginnings = beginnings
    classes = FlatArray([Self.find("", spelledOut, beginnings)])
  }

  /// O(interfaces learnt before and now).
  mutating func learn(_ interfaces: InterfaceTable) {
    let known = classes.count - 1
    guard interfaces.count > known else { return }
    var all = (0...known).map { classes[$0] }
    for name in interfaces.names[known...] {
      all.append(Self.find(name, spelledOut, beginnings))
    }
    classes = FlatArray(all)
  }

  private static func find(
    _ name: String, _ spelledOut: [[UInt8]: UInt32], _ beginnings: [[UInt8]: UInt32]
  ) -> UInt32 {
    var bytes = Array(name.utf8)
    if let number = spelledOut[bytes] { return number }
    while true {
      if let number = beginnings[bytes] { return number }
      if bytes.popLast() == nil { return 0 }
    }
  }

  /// The class of an interface. One that was not learnt is treated as none.
  @inlinable func interfaceClass(_ interface: InterfaceID) -> UInt32 {
    let row = Int(interface.rawValue) &+ 1
    return classes[row > 0 && row < classes.count ? row : 0]
  }

  /// Whether a class of interfaces fits a pattern.
  @inlinable @inline(__always)
  func matches(_ number: UInt32, pattern: Int32) -> Bool {
    let span = spans[Int(pattern)]
    return number >= span.low && number <= span.high
  }
}
