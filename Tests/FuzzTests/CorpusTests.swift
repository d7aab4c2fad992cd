// What fuzzing keeps: every input of the corpora still goes through, twice alike; and a bounded,
// seeded run of new ones. A trap names its input: `make fuzz` and docs/fuzzing.md say how to go on.

import FuzzTargets
import Testing

@Suite struct CorpusTests {
  @Test(arguments: FuzzTarget.allCases)
  func everyInputGoesThroughTwiceAlike(target: FuzzTarget) throws {
    let files = try Corpus.files(of: target)
    #expect(files.count > 5)
    for (name, bytes) in files {
      #expect(target.run(bytes) == target.run(bytes), "\(name)")
    }
  }

  @Test(arguments: FuzzTarget.allCases)
  func mutations(target: FuzzTarget) throws {
    let corpus = try Corpus.inputs(of: target)
    for seed in UInt64(1)...200 { target.run(Corpus.mutation(of: corpus, seed: seed)) }
  }

  @Test func longRun() {
    var first = LongRunReport()
    for seed in UInt64(1)...4 { LongRun.round(seed: seed, &first) }
    var again = LongRunReport()
    for seed in UInt64(1)...4 { LongRun.round(seed: seed, &again) }
    #expect(first.digest == again.digest)
    // The frames come far enough to matter.
    #expect(first.emitted > first.frames / 4)
    for verdict in ["ACCEPT", "DROP", "REJECT", "HELD"] {
      #expect(first.verdicts[verdict, default: 0] > 0, "\(verdict)")
    }
  }
}
