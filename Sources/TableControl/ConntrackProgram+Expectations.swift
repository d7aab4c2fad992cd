// `-L`, `-G`, `-I` and `-D` on the table of expectations.

import Conntrack
import ConntrackFormat

extension ConntrackProgram {
  /// Of IPv4, as conntrack does, unless `-f` says otherwise.
  mutating func listExpectations(_ line: ConntrackCommandLine) throws -> Int32 {
    let form = try form(line)
    var listing = Listing(
      console: console, prologue: form.expectationPrologue, epilogue: form.expectationEpilogue)
    defer { console = listing.console }
    try backend.listExpectations(line.filter.family ?? .ipv4) { expectation in
      try listing.add { form.append(expectation, to: &$0) }
    }
    try listing.finish(ConntrackMessage.expectationsShown)
    return 0
  }

  mutating func getExpectation(_ line: ConntrackCommandLine) throws -> Int32 {
    let expectation = try backend.getExpectation(line.expectation())
    let form = try form(line)
    try console.write { form.append(expectation, to: &$0) }
    try sum(ConntrackMessage.expectationsShown(1))
    return 0
  }

  mutating func createExpectation(_ line: ConntrackCommandLine) throws -> Int32 {
    do {
      try backend.createExpectation(line.expectation())
    } catch let error as TableError {
      return try fail(error, .createExpectation)
    }
    try sum(ConntrackMessage.expectationsChanged(1, "created"))
    return 0
  }

  mutating func deleteExpectation(_ line: ConntrackCommandLine) throws -> Int32 {
    try backend.deleteExpectation(line.expectation())
    try sum(ConntrackMessage.expectationsChanged(1, "deleted"))
    return 0
  }
}
