// Reassembly: what the kernel was seen to do with fragments.

import Testing
import Wire

@Suite struct ReassemblyTests {
  @Test func emptyWaitsForNothing() {
    var reassembler = Reassembler(ReassemblySettings())
    reassembler.expire(now: .max)
    #expect(reassembler.waiting == 0)
  }
}
