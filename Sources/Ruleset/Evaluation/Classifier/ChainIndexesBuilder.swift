// Building the index of a chain: which rules share a tree, and which of the plans is the cheapest to
// look packets up in. For the compiler of rulesets.

/// Collects the indexes of a ruleset's long chains.
struct ChainIndexesBuilder {
  /// Chains with fewer rules are asked rule by rule: there the walk costs less than the lookup
  /// (docs/performance.md).
  static let fewestRules = 16
  /// Trees a chain may have; `Candidates` has room for four.
  static let mostTrees = 4

  private(set) var chains: [ChainIndex] = []
  private(set) var nodes: [UInt32] = []
  private(set) var lists: [Int32] = []

  /// Indexes a chain; returns the index's number. O(rules × log rules) where rules are apart, and
  /// at most `TreeBuilder.mostCopies` times that.
  ///
  /// - Parameters:
  ///   - first: the number of the chain's first rule; the end of the chain follows the last.
  ///   - isFinal: of each rule, whether a packet that matches it asks none of the rules after it.
  mutating func add(whole: [RuleBox], short: [RuleBox], first: Int32, isFinal: [Bool]) -> Int32 {
    let (wholeRoots, wholeCount) = add(BoxTable(whole, first: first, isFinal: isFinal))
    let (shortRoots, shortCount) =
      whole == short
      ? (wholeRoots, wholeCount) : add(BoxTable(short, first: first, isFinal: isFinal))
    chains.append(
      ChainIndex(
        wholeRoots: wholeRoots, shortRoots: shortRoots, wholeCount: wholeCount,
        shortCount: shortCount))
    return Int32(chains.count - 1)
  }

  private mutating func add(_ boxes: BoxTable) -> (SIMD4<Int32>, Int32) {
    let all = boxes.matchable
    var best = plan([all], boxes)
    let groups = boxes.groups(of: all, most: Self.mostTrees)
    if groups.count > 1 {
      let apart = plan(groups, boxes)
      if apart.cost < best.cost { best = apart }
    }
    nodes += best.trees.nodes
    lists += best.trees.lists
    var roots = SIMD4<Int32>(repeating: 0)
    for (place, root) in best.roots.enumerated() { roots[place] = root }
    return (roots, Int32(best.roots.count))
  }

  private func plan(
    _ groups: [[Int32]], _ boxes: BoxTable
  ) -> (trees: TreeBuilder, roots: [Int32], cost: Double) {
    var trees = TreeBuilder(boxes, firstNode: nodes.count, firstPlace: lists.count)
    var roots: [Int32] = []
    var cost = 0.0
    for group in groups {
      let tree = trees.add(group)
      roots.append(tree.root)
      cost += tree.cost
    }
    return (trees, roots, cost)
  }
}

/// The boxes of a chain's rules, as the builder asks for them.
struct BoxTable {
  /// The number of the chain's first rule.
  let first: Int32
  let count: Int
  /// By box × keys + key.
  private var low: [UInt32]
  private var high: [UInt32]
  /// Where a box has several spans of a key.
  private var several: [Int: [KeySpan]] = [:]
  /// A matching packet asks no later rule, and every packet in the box matches.
  private var endsWalk: [Bool]
  /// Boxes that some packet is in.
  private(set) var matchable: [Int32] = []
  /// Keys that some box limits.
  private(set) var keys: [Int] = []

  init(_ boxes: [RuleBox], first: Int32, isFinal: [Bool]) {
    self.first = first
    count = boxes.count
    low = Array(repeating: 0, count: boxes.count * PacketKey.count)
    high = Array(repeating: .max, count: boxes.count * PacketKey.count)
    endsWalk = Array(repeating: false, count: boxes.count)
    var limited = Set<Int>()
    for (number, box) in boxes.enumerated() where !box.isEmpty {
      matchable.append(Int32(number))
      endsWalk[number] = box.isExact && isFinal[number]
      for key in 0..<PacketKey.count {
        guard let spans = box.spans[key], let start = spans.first, let end = spans.last else {
          continue
        }
        limited.insert(key)
        low[number * PacketKey.count + key] = start.low
        high[number * PacketKey.count + key] = end.high
        if spans.count > 1 {
          several[number * PacketKey.count + key] = spans
          endsWalk[number] = false
        }
      }
    }
    keys = limited.sorted()
  }

  /// The part between `region`'s ends of what a box allows of a key, from the lowest to the highest.
  func hull(_ box: Int32, _ key: Int, in region: KeySpan) -> KeySpan {
    let place = Int(box) * PacketKey.count + key
    return KeySpan(low: max(low[place], region.low), high: min(high[place], region.high))
  }

  /// Calls `body` with each span of a box's key that is partly in `region`, cut to it.
  func forEachSpan(_ box: Int32, _ key: Int, in region: KeySpan, _ body: (KeySpan) -> Void) {
    let place = Int(box) * PacketKey.count + key
    if !several.isEmpty, let spans = several[place] {
      for span in spans where span.low <= region.high && span.high >= region.low {
        body(KeySpan(low: max(span.low, region.low), high: min(span.high, region.high)))
      }
    } else if low[place] <= region.high && high[place] >= region.low {
      body(hull(box, key, in: region))
    }
  }

  /// Whether every packet of the region matches the box's rule and asks no later one.
  func ends(_ box: Int32, region: [KeySpan]) -> Bool {
    guard endsWalk[Int(box)] else { return false }
    let place = Int(box) * PacketKey.count
    for key in keys where low[place + key] > region[key].low || high[place + key] < region[key].high
    {
      return false
    }
    return true
  }

  // MARK: Groups

  /// Parts boxes that would be in each other's way: first those narrow in the one part of a packet
  /// that tells most boxes apart, then of the rest again; at last all others.
  func groups(of boxes: [Int32], most: Int) -> [[Int32]] {
    var groups: [[Int32]] = []
    var rest = boxes
    while groups.count < most - 1, rest.count > TreeBuilder.shortList {
      var best: (gain: Double, boxes: [Int32]) = (0, [])
      for part in PacketPart.allCases {
        let narrow = rest.filter { isNarrow($0, part) }
        let gain = Double(narrow.count) - crowd(narrow, part)
        if gain > best.gain { best = (gain, narrow) }
      }
      guard best.gain >= Double(TreeBuilder.shortList) else { break }
      groups.append(best.boxes)
      let taken = Set(best.boxes)
      rest.removeAll { taken.contains($0) }
    }
    if !rest.isEmpty { groups.append(rest) }
    return groups
  }

  private enum PacketPart: CaseIterable {
    case source
    case destination
    case sourcePort
    case destinationPort
    case inInterface
    case outInterface

    var keys: Range<Int> {
      switch self {
      case .source: PacketKey.source..<PacketKey.source + 4
      case .destination: PacketKey.destination..<PacketKey.destination + 4
      case .sourcePort: PacketKey.sourcePort..<PacketKey.sourcePort + 1
      case .destinationPort: PacketKey.destinationPort..<PacketKey.destinationPort + 1
      case .inInterface: PacketKey.inInterface..<PacketKey.inInterface + 1
      case .outInterface: PacketKey.outInterface..<PacketKey.outInterface + 1
      }
    }

    /// The most values a narrow span has, less 1.
    var narrow: UInt32 {
      switch self {
      case .source, .destination: 0xF_FFFF
      case .sourcePort, .destinationPort: 0x3FF
      case .inInterface, .outInterface: 0
      }
    }
  }

  private func isNarrow(_ box: Int32, _ part: PacketPart) -> Bool {
    let place = Int(box) * PacketKey.count
    return part.keys.contains { high[place + $0] - low[place + $0] <= part.narrow }
  }

  /// How many boxes of `boxes` one of them finds with the same span, itself included.
  private func crowd(_ boxes: [Int32], _ part: PacketPart) -> Double {
    guard !boxes.isEmpty else { return 0 }
    var counts: [[UInt32]: Int] = [:]
    for box in boxes {
      let place = Int(box) * PacketKey.count
      counts[part.keys.flatMap { [low[place + $0], high[place + $0]] }, default: 0] += 1
    }
    return Double(counts.values.reduce(0) { $0 + $1 * $1 }) / Double(boxes.count)
  }
}
