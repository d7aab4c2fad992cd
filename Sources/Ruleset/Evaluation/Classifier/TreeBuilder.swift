// Building the trees of one chain's index: at each node the split that leaves the fewest rules to ask
// for the fewest copies of rules, within a bound on all copies.

/// Trees and lists, to be appended to those of other chains.
struct TreeBuilder {
  /// Rules in a list that is not split.
  static let shortList = 2
  /// Entries in the lists of a tree for each of its rules, at most.
  static let mostCopies = 16
  /// Nodes on the way to a list, at most.
  static let mostNodes = 20
  /// The fewest rules that get many ways or a hash instead of two ways.
  static let fewestForWays = 6

  private(set) var nodes: [UInt32] = []
  private(set) var lists: [Int32] = []
  private let boxes: BoxTable
  private let firstNode: Int
  private let firstPlace: Int
  /// Lists that were made before.
  private var known: [[Int32]: TreeReference] = [:]
  /// What a lookup costs on average in the tree being built, in some nanoseconds, and the weight of
  /// what was counted.
  private var cost = 0.0
  private var weight = 0.0

  init(_ boxes: BoxTable, firstNode: Int, firstPlace: Int) {
    self.boxes = boxes
    self.firstNode = firstNode
    self.firstPlace = firstPlace
  }

  /// Makes the tree of some boxes, in their order.
  mutating func add(_ members: [Int32]) -> (root: TreeReference, cost: Double) {
    (cost, weight) = (0, 0)
    let everything = KeySpan(low: 0, high: .max)
    let root = build(
      members, region: Array(repeating: everything, count: PacketKey.count),
      budget: Double(members.count * Self.mostCopies + 256), depth: 0)
    return (root, weight > 0 ? cost / weight : 0)
  }

  private mutating func build(
    _ members: [Int32], region: [KeySpan], budget: Double, depth: Int
  ) -> TreeReference {
    var members = members
    if let end = members.firstIndex(where: { boxes.ends($0, region: region) }) {
      members.removeLast(members.count - end - 1)
    }
    guard members.count > Self.shortList, depth < Self.mostNodes,
      let split = bestSplit(members, region: region, budget: budget)
    else { return list(members, depth: depth) }
    let place = nodes.count
    let share = budget / split.copies
    let children = split.children(of: members, boxes, region: region)
    switch split.ways {
    case .bounds(let bounds):
      let isOne = bounds.count == 1
      let kind = (isOne ? TreeNode.isOneBound : TreeNode.isBounds) | UInt32(split.key)
      nodes.append(kind)
      if isOne {
        nodes += [bounds[0], 0, 0]
      } else {
        nodes += bounds + Array(repeating: .max, count: TreeNode.bounds - bounds.count)
        nodes += Array(repeating: 0, count: TreeNode.bounds + 1)
      }
      let base = place + (isOne ? 2 : 1 + TreeNode.bounds)
      var reference: TreeReference = 0
      for (way, child) in children.enumerated() {
        var part = region
        if way > 0 { part[split.key].low = bounds[way - 1] }
        if way < bounds.count { part[split.key].high = bounds[way] - 1 }
        reference = build(
          child, region: part, budget: share * Double(child.count), depth: depth + 1)
        nodes[base + way] = UInt32(bitPattern: reference)
      }
      // The highest value passes bounds that are not used as well.
      if !isOne {
        for way in children.count..<TreeNode.bounds + 1 {
          nodes[base + way] = UInt32(bitPattern: reference)
        }
      }
    case .values(let values):
      var slots = 4
      while slots < values.count * 2 { slots *= 2 }
      let table = place + TreeNode.hashWords
      let mask = UInt32(slots - 1)
      nodes += [TreeNode.isHash | UInt32(split.key), 0, UInt32(firstNode + table), mask]
      nodes += (0..<slots * 2).map { $0 & 1 == 0 ? 0 : UInt32(bitPattern: TreeNode.noSlot) }
      for (way, child) in children.enumerated() {
        var part = region
        if way < values.count {
          part[split.key] = KeySpan(low: values[way], high: values[way])
        }
        let reference = UInt32(
          bitPattern: build(
            child, region: part, budget: share * Double(child.count), depth: depth + 1))
        if way == values.count {
          nodes[place + 1] = reference
          continue
        }
        var slot = TreeNode.slot(values[way], mask: mask)
        while nodes[table + Int(slot) * 2 + 1] != UInt32(bitPattern: TreeNode.noSlot) {
          slot = (slot + 1) & mask
        }
        nodes[table + Int(slot) * 2] = values[way]
        nodes[table + Int(slot) * 2 + 1] = reference
      }
    }
    return TreeReference(firstNode + place)
  }

  private mutating func list(_ members: [Int32], depth: Int) -> TreeReference {
    // A node and a rule cost about as much, and half the rules before the one that matches.
    let size = Double(members.count)
    cost += size * (Double(depth) * 5 + size * 4)
    weight += size
    if let reference = known[members] { return reference }
    let reference = ~TreeReference(firstPlace + lists.count)
    lists += members.map { boxes.first + $0 }
    lists.append(boxes.first + Int32(boxes.count))
    known[members] = reference
    return reference
  }

  // MARK: Splits

  private func bestSplit(_ members: [Int32], region: [KeySpan], budget: Double) -> TreeSplit? {
    var best: TreeSplit?
    for key in boxes.keys {
      for split in [
        TreeSplit.byValues(members, boxes, key, region[key]),
        TreeSplit.byBounds(members, boxes, key, region[key]),
      ] {
        if let split, split.copies <= budget, split.left <= Double(members.count) - 1,
          split.score < best?.score ?? .infinity
        {
          best = split
        }
      }
    }
    return best
  }
}
