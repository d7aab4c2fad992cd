// `weir bench` does what it times, and says what makes no sense.

import Bench
import Testing
import Wire

@Suite struct BenchTests {
  private func options(_ change: (inout BenchOptions) -> Void) -> BenchOptions {
    var options = BenchOptions()
    options.connections = 200
    options.packets = 2000
    options.rounds = 2
    change(&options)
    return options
  }

  private func run(
    _ work: BenchOptions.Work, _ nat: BenchOptions.NAT, _ family: AddressFamily,
    _ transport: BenchOptions.Transport
  ) throws -> BenchReport {
    try Bench.run(
      options {
        $0.nat = nat
        $0.family = family
        $0.transport = transport
        $0.work = work
        $0.rules = 20
      })
  }

  /// Every packet must pass, or `Bench.run` throws.
  @Test(arguments: BenchOptions.NAT.allCases, [AddressFamily.ipv4, .ipv6])
  func everyKindOfWorkIsDone(_ nat: BenchOptions.NAT, _ family: AddressFamily) throws {
    for transport in BenchOptions.Transport.allCases {
      for work in BenchOptions.Work.allCases {
        let report = try run(work, nat, family, transport)
        #expect(report.engine.median > 0)
        #expect(report.bytesPerConnection >= 128)
        #expect(report.text.contains("engine"))
        #expect(report.json.hasPrefix("{\"work\":\"\(work.rawValue)\""))
      }
    }
  }

  #if DEBUG
    private static let isOptimized = false
  #else
    private static let isOptimized = true
  #endif

  /// After the start packets take no memory, those that begin connections included: not on average, but
  /// not once. What is counted is first seen to count. Of optimized builds only (`swift test -c release`):
  /// others box what these keep on the stack. `make bench-brief` asks the same of the command.
  @Test(
    .enabled(if: BenchTests.isOptimized), arguments: BenchOptions.NAT.allCases,
    [AddressFamily.ipv4, .ipv6])
  func packetsTakeNoMemory(_ nat: BenchOptions.NAT, _ family: AddressFamily) throws {
    guard Counted.isPossible else { return }
    #expect(Counted.ofAnArray().allocations > 0)
    for work in [BenchOptions.Work.established, .create] {
      for transport in BenchOptions.Transport.allCases {
        let report = try run(work, nat, family, transport)
        #expect(report.counted.packets > 0)
        #expect(report.counted.allocations == 0, "\(work) \(transport)")
      }
    }
  }

  @Test func workersHaveTheirOwn() throws {
    let report = try Bench.run(options { $0.workers = 2 })
    #expect(report.engine.sorted.count == 4)
  }

  @Test func whatMakesNoSenseIsRefused() {
    for change: (inout BenchOptions) -> Void in [
      { $0.burst = 33 }, { $0.connections = 0 }, { $0.workers = 0 }, { $0.rules = -1 },
      {
        $0.level = .track
        $0.nat = .snat
      },
    ] {
      #expect(throws: BenchError.self) { try Bench.run(options(change)) }
    }
  }
}
