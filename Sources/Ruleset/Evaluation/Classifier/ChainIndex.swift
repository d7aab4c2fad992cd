// The index of a long chain: from a packet's keys to the few of its rules that can match, in their
// order. For the walk through chains.
//
// Rules that would be in each other's way stand in up to three trees. A node of a tree looks at one
// key: by hash where most rules name one value, by up to 16 bounds, or by one bound. A leaf is a
// list of rules. Trees and lists are flat arrays; docs/performance.md has what they cost.

/// Where the trees of a chain begin; `nodes` and `lists` of all chains are in one `ChainIndexes`.
@usableFromInline
struct ChainIndex: BitwiseCopyable, Sendable {
  /// References of the roots, for packets that are whole and that are cut short.
  @usableFromInline var wholeRoots: SIMD4<Int32>
  @usableFromInline var shortRoots: SIMD4<Int32>
  @usableFromInline var wholeCount: Int32
  @usableFromInline var shortCount: Int32
}

/// What stands at a place of a tree: a node's place if not negative, else a list's, inverted.
typealias TreeReference = Int32

/// Words of a node. The first is its kind, and in its low byte its key.
enum TreeNode {
  static let isOneBound: UInt32 = 0 << 8
  static let isBounds: UInt32 = 1 << 8
  static let isHash: UInt32 = 2 << 8

  /// Kind, bound, below, from the bound on.
  static let oneBoundWords = 4
  /// Kind, 16 bounds, 17 references.
  static let bounds = 16
  /// Kind, reference of other values, the table's place, its slots less 1. A slot of the table is a
  /// value and a reference, the reference `noSlot` where it is empty.
  static let hashWords = 4
  static let noSlot = Int32.min

  /// Where a value's slot is, or the first place to look for it.
  @inline(__always)
  static func slot(_ value: UInt32, mask: UInt32) -> UInt32 {
    // The high bits of a product with an odd constant (the golden ratio's) depend on all bits.
    UInt32(truncatingIfNeeded: (UInt64(value) &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
  }
}

/// Places in the lists a packet's keys led to, and the rule each stands at.
@usableFromInline
struct Candidates: BitwiseCopyable, Sendable {
  @usableFromInline var places = SIMD4<Int32>(repeating: 0)
  @usableFromInline var rules = SIMD4<Int32>(repeating: .max)
  /// 0: the chain has no index, so its rules are asked one after the other.
  @usableFromInline var count: Int32 = 0

  @inlinable init() {}
}

/// The indexes of a ruleset's long chains.
@usableFromInline
struct ChainIndexes: ~Copyable, Sendable {
  @usableFromInline let chains: FlatArray<ChainIndex>
  private let nodes: FlatArray<UInt32>
  private let lists: FlatArray<Int32>

  init(_ builder: ChainIndexesBuilder) {
    chains = FlatArray(builder.chains)
    nodes = FlatArray(builder.nodes)
    lists = FlatArray(builder.lists)
  }

  var byteCount: Int {
    chains.count * MemoryLayout<ChainIndex>.stride + (nodes.count + lists.count) * 4
  }

  /// Looks a packet up; returns the first rule to ask. Each list ends with the chain's end.
  @usableFromInline
  func find(
    _ number: Int, _ form: PacketForm, _ keys: borrowing FlatArray<UInt32>,
    _ candidates: inout Candidates
  ) -> Int {
    let roots = form == .whole ? chains[number].wholeRoots : chains[number].shortRoots
    let count = form == .whole ? chains[number].wholeCount : chains[number].shortCount
    candidates.count = count
    var first = Int32.max
    for tree in 0..<Int(count) {
      let place = descend(roots[tree], keys)
      let rule = lists[Int(place)]
      candidates.places[tree] = place
      candidates.rules[tree] = rule
      first = min(first, rule)
    }
    return Int(first)
  }

  /// The rule to ask after `rule`, which was the last.
  @usableFromInline
  func next(after rule: Int, _ candidates: inout Candidates) -> Int {
    var first = Int32.max
    for tree in 0..<Int(candidates.count) {
      if Int(candidates.rules[tree]) == rule {
        candidates.places[tree] &+= 1
        candidates.rules[tree] = lists[Int(candidates.places[tree])]
      }
      first = min(first, candidates.rules[tree])
    }
    return Int(first)
  }

  private func descend(_ root: TreeReference, _ keys: borrowing FlatArray<UInt32>) -> Int32 {
    var reference = root
    while reference >= 0 {
      let node = Int(reference)
      let kind = nodes[node]
      let key = keys[Int(kind & 0xFF)]
      switch kind & ~0xFF {
      case TreeNode.isOneBound:
        reference = Int32(bitPattern: nodes[node &+ (key < nodes[node &+ 1] ? 2 : 3)])
      case TreeNode.isBounds:
        let passed = nodes.countOfWords(notAbove: key, in: node &+ 1)
        reference = Int32(bitPattern: nodes[node &+ 17 &+ passed])
      default:
        reference = probe(node, key)
      }
    }
    return ~reference
  }

  @inline(__always)
  private func probe(_ node: Int, _ key: UInt32) -> TreeReference {
    let table = Int(nodes[node &+ 2])
    let mask = nodes[node &+ 3]
    var slot = TreeNode.slot(key, mask: mask)
    while true {
      let found = Int32(bitPattern: nodes[table &+ Int(slot) &* 2 &+ 1])
      if found == TreeNode.noSlot { return Int32(bitPattern: nodes[node &+ 1]) }
      if nodes[table &+ Int(slot) &* 2] == key { return found }
      slot = (slot &+ 1) & mask
    }
  }
}
