// One way to part rules by a key: by the values they name, or by bounds between them. For the builder
// of trees, which weighs all keys.

/// A split that may become a node.
struct TreeSplit {
  enum Ways {
    /// Children: below the first, between each and the next, from the last on.
    case bounds([UInt32])
    /// Children: each of the values, sorted, and all other values.
    case values([UInt32])
  }

  let key: Int
  let ways: Ways
  /// Rules in all children together.
  let copies: Double
  /// Rules in a child, on average over the rules' packets.
  let left: Double
  /// Rules before the split.
  private let before: Double

  /// Lower is better. Copies cost memory, so that more of what is looked up is not in a cache.
  var score: Double { left * copies / before }

  private init(key: Int, ways: Ways, sizes: [Int], before: Int) {
    self.key = key
    self.ways = ways
    let sum = sizes.reduce(0.0) { $0 + Double($1) }
    let squares = sizes.reduce(0.0) { $0 + Double($1) * Double($1) }
    copies = sum
    left = sum > 0 ? squares / sum : 0
    self.before = Double(before)
  }

  /// By hash, if at least half of the rules name one value, and not all the same.
  static func byValues(
    _ members: [Int32], _ boxes: BoxTable, _ key: Int, _ region: KeySpan
  ) -> TreeSplit? {
    guard members.count >= TreeBuilder.fewestForWays else { return nil }
    var named: [UInt32] = []
    for box in members {
      let hull = boxes.hull(box, key, in: region)
      if hull.low == hull.high { named.append(hull.low) }
    }
    guard named.count * 2 >= members.count, named.count > 1 else { return nil }
    named.sort()
    var values: [UInt32] = []
    var sizes: [Int] = []
    for value in named {
      if values.last == value {
        sizes[sizes.count - 1] += 1
      } else {
        values.append(value)
        sizes.append(1)
      }
    }
    guard values.count > 1 else { return nil }
    // The others are in every child whose value they allow, and in the child of all other values.
    var change = [Int](repeating: 0, count: values.count + 1)
    for box in members {
      let hull = boxes.hull(box, key, in: region)
      if hull.low == hull.high { continue }
      boxes.forEachSpan(box, key, in: region) { span in
        change[values.firstPlace(notBelow: span.low)] += 1
        if let end = span.high == .max ? nil : values.firstPlace(notBelow: span.high + 1) {
          change[end] -= 1
        }
      }
    }
    var sum = 0
    for place in values.indices {
      sum += change[place]
      sizes[place] += sum
    }
    sizes.append(members.count - named.count)
    return TreeSplit(key: key, ways: .values(values), sizes: sizes, before: members.count)
  }

  /// By up to 16 bounds that leave about as many ends of spans on each side; of few rules by the one
  /// that leaves least.
  static func byBounds(
    _ members: [Int32], _ boxes: BoxTable, _ key: Int, _ region: KeySpan
  ) -> TreeSplit? {
    var ends: [UInt32] = []
    for box in members {
      boxes.forEachSpan(box, key, in: region) { span in
        if span.low > region.low { ends.append(span.low) }
        if span.high < region.high { ends.append(span.high + 1) }
      }
    }
    guard !ends.isEmpty else { return nil }
    ends.sort()
    func split(_ bounds: [UInt32]) -> TreeSplit {
      var sizes = [Int](repeating: 0, count: bounds.count + 1)
      for box in members {
        forEachWay(box, boxes, key, region, bounds) { sizes[$0] += 1 }
      }
      return TreeSplit(key: key, ways: .bounds(bounds), sizes: sizes, before: members.count)
    }
    if members.count < TreeBuilder.fewestForWays {
      var best: TreeSplit?
      var last: UInt32?
      for end in ends where end != last {
        last = end
        let one = split([end])
        if one.score < best?.score ?? .infinity { best = one }
      }
      return best
    }
    var bounds: [UInt32] = []
    for way in 1...TreeNode.bounds {
      let end = ends[ends.count * way / (TreeNode.bounds + 1)]
      if bounds.last != end { bounds.append(end) }
    }
    return split(bounds)
  }

  /// The rules of each child, in the order of `members`.
  func children(of members: [Int32], _ boxes: BoxTable, region: [KeySpan]) -> [[Int32]] {
    switch ways {
    case .bounds(let bounds):
      var children = [[Int32]](repeating: [], count: bounds.count + 1)
      for box in members {
        Self.forEachWay(box, boxes, key, region[key], bounds) { children[$0].append(box) }
      }
      return children
    case .values(let values):
      var children = [[Int32]](repeating: [], count: values.count + 1)
      for box in members {
        let hull = boxes.hull(box, key, in: region[key])
        if hull.low == hull.high {
          children[values.firstPlace(notBelow: hull.low)].append(box)
          continue
        }
        boxes.forEachSpan(box, key, in: region[key]) { span in
          var place = values.firstPlace(notBelow: span.low)
          while place < values.count, values[place] <= span.high {
            children[place].append(box)
            place += 1
          }
        }
        children[values.count].append(box)
      }
      return children
    }
  }

  /// Calls `body` with each child by bounds that a box has packets in, once.
  private static func forEachWay(
    _ box: Int32, _ boxes: BoxTable, _ key: Int, _ region: KeySpan, _ bounds: [UInt32],
    _ body: (Int) -> Void
  ) {
    var next = 0
    boxes.forEachSpan(box, key, in: region) { span in
      // A bound is the first value of the child after it.
      let first = max(next, bounds.wayOf(span.low))
      let last = bounds.wayOf(span.high)
      if first <= last {
        for way in first...last { body(way) }
        next = last + 1
      }
    }
  }
}

extension [UInt32] {
  /// Of a sorted array: the first place whose value is at least `value`; the count where none is.
  fileprivate func firstPlace(notBelow value: UInt32) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if self[middle] < value { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Of sorted bounds: how many are at most `value`.
  fileprivate func wayOf(_ value: UInt32) -> Int {
    value == .max ? count : firstPlace(notBelow: value + 1)
  }
}
