// Connections by their source: whatever order they come and go in, the newest of a source is found.

import Testing
import Wire

@testable import Conntrack

@Suite struct SourceIndexTests {
  @Test("The newest connection of a source is found, beside a list that says the same")
  func newestIsFound() {
    let capacity = 300
    let index = SourceIndex(capacity: capacity)
    let records = FlatArray<Record>(count: capacity)
    var generator = SeededGenerator(seed: 7)
    // Few sources, so that most have several connections, and few buckets, so that sources share them.
    let hashes = (0..<80).map { _ in generator.next() }
    var filed: [(record: Int, source: Int)] = []
    var free = Array(0..<capacity)
    var found = 0
    for _ in 0..<20_000 {
      if filed.isEmpty || (!free.isEmpty && Int.random(in: 0..<100, using: &generator) < 50) {
        let record = free.remove(at: Int.random(in: free.indices, using: &generator))
        let source = Int.random(in: hashes.indices, using: &generator)
        index.insert(record, hash: hashes[source], records)
        filed.append((record, source))
      } else {
        let place = Int.random(in: filed.indices, using: &generator)
        index.remove(filed[place].record, records)
        free.append(filed.remove(at: place).record)
      }
      let source = Int.random(in: hashes.indices, using: &generator)
      let mine = Set(filed.filter { $0.source == source }.map(\.record))
      let first = index.first(hashes[source]) { mine.contains($0) }
      #expect(first == filed.last { $0.source == source }?.record)
      if first != nil { found += 1 }
    }
    #expect(found > 1000)
  }
}
