// "Did you mean": the known word nearest to a wrong one.

enum NearestWord {
  /// The nearest of `known`, if it is near enough to be meant: at most a third of its letters wrong.
  static func find(_ word: String, among known: [String]) -> String? {
    let letters = Array(word.lowercased().utf8.prefix(64))
    var best: (String, Int)?
    for candidate in known {
      let distance = distance(letters, Array(candidate.lowercased().utf8.prefix(64)))
      guard distance <= max(1, candidate.utf8.count / 3), candidate != word else { continue }
      if distance < (best?.1 ?? .max) { best = (candidate, distance) }
    }
    return best?.0
  }

  /// Letters to insert, delete, replace or swap with their neighbour. O(a × b).
  private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var twoBack: [Int] = []
    var previous = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var row = [i + 1]
      for (j, y) in b.enumerated() {
        var cost = min(previous[j] + (x == y ? 0 : 1), previous[j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, x == b[j - 1], a[i - 1] == y { cost = min(cost, twoBack[j - 1] + 1) }
        row.append(cost)
      }
      twoBack = previous
      previous = row
    }
    return previous[b.count]
  }
}
