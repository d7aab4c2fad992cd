// `weir bench`: how fast the engine is on this machine (docs/performance.md).

import ArgumentParser
import Bench
import Foundation
import Ruleset
import Wire

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure the engine on packets in memory, beside what memory alone costs.")

  @Option(help: "established, create or expire.") var work = BenchOptions.Work.established
  @Option(help: "track: decoding and tracking alone; firewall: all of it.")
  var level = BenchOptions.Level.firewall
  @Option(help: "Connections in the table, hit at random.") var connections = 65_536
  @Option(help: "Packets in each round.") var packets = 2_000_000
  @Option(help: "Rounds; figures are their median.") var rounds = 7
  @Option(help: "Packets handed over together, 1 to 32.") var burst = 32
  @Option(name: .customLong("protocol"), help: "tcp or udp.") var transport = BenchOptions.Transport
    .tcp
  @Option(help: "4 or 6.") var family = 4
  @Option(help: "none, snat, masquerade or dnat.") var nat = BenchOptions.NAT.none
  @Flag(help: "All clients use the same source ports, so that SNAT must find others.")
  var samePorts = false
  @Option(help: "This many rules in FORWARD, made up.") var rules = 5
  @Option(name: .customLong("rules-file"), help: "iptables-save text instead of made-up rules.")
  var rulesFile: String?
  @Option(help: "Engines side by side, each with all of the above.") var workers = 1
  @Option(help: "The random choices' seed.") var seed: UInt64 = 1
  @Flag(help: "Count packets and bytes of each connection (nf_conntrack_acct).") var acct = false
  @Flag(help: "One JSON object.") var json = false

  func run() throws {
    var options = BenchOptions()
    guard family == 4 || family == 6 else {
      throw Failure.unusable("--family: 4 or 6, not \(family)")
    }
    options.work = work
    options.level = level
    options.connections = connections
    options.packets = packets
    options.rounds = rounds
    options.burst = burst
    options.transport = transport
    options.family = family == 6 ? .ipv6 : .ipv4
    options.nat = nat
    options.sharesPorts = samePorts
    options.rules = rules
    options.seed = seed
    options.counts = acct
    options.workers = workers
    do {
      if let rulesFile {
        guard let text = try? String(contentsOfFile: rulesFile, encoding: .utf8) else {
          throw Failure.unusable("\(rulesFile): cannot be read as text")
        }
        options.rulesText = text
      }
      let report = try Bench.run(options)
      print(json ? report.json : report.text)
    } catch let error as BenchError {
      throw Failure.unusable(error.description)
    } catch let error as RulesetError {
      throw Failure.unusable(error.description)
    }
  }
}

extension BenchOptions.Work: ExpressibleByArgument {}
extension BenchOptions.Level: ExpressibleByArgument {}
extension BenchOptions.Transport: ExpressibleByArgument {}
extension BenchOptions.NAT: ExpressibleByArgument {}
