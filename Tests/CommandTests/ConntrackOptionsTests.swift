// The command line of `weir conntrack`: Weir's own options set apart from conntrack's.

import Testing

@testable import weir

@Suite struct ConntrackOptionsTests {
  private func parse(_ line: String) throws -> OwnOptions {
    try OwnOptions(line.split(separator: " ").map(String.init))
  }

  @Test func ownOptionsStandAnywhere() throws {
    let own = try parse(
      "--host DIR -L --capture=a.pcap -p tcp --set a=1 --src-nat --set b=2 --fill-truncated")
    #expect(own.capture == "a.pcap")
    #expect(own.hostWords == ["--host", "DIR", "--set", "a=1", "--set", "b=2", "--fill-truncated"])
    #expect(own.words == ["-L", "-p", "tcp", "--src-nat"])
    #expect(!own.kernel && !own.procfs)
  }

  @Test func kernelStandsAlone() throws {
    #expect(try parse("-L --kernel").kernel)
    for line in [
      "--kernel --capture a", "--kernel -L --procfs", "--kernel --host x",
      "--control a --capture b",
      "--control a --kernel",
    ] {
      let failure = #expect(throws: Failure.self) { try parse(line) }
      #expect(failure?.status == 2)
    }
  }

  @Test func valuesAreNeeded() {
    #expect(throws: Failure.self) { try parse("-L --capture") }
  }
}
