// `weir replay`: a capture through a ruleset, packet by packet (contracts in docs/replay.md).

import ArgumentParser
import Capture
import Replay

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Send a capture through a ruleset and say what happens to it.")

  @Argument(help: "A capture: pcap or pcapng, gzip too; - is standard input.")
  var capture: String

  @OptionGroup var hostOptions: HostOptions

  @Option(help: "text for people, json for programs, none for the summary alone.")
  var format: Format = .text

  @Flag(help: "json: add the whole table after each packet.")
  var tables = false

  @Flag(help: "text: print the final table.")
  var table = false

  @Option(help: "Print the whole way of packet N through every hook, rule by rule.")
  var packet: Int?

  @Option(name: .customShort("w"), help: "Write the packets that leave to a pcapng file.")
  var writePath: String?

  @Flag(name: .customShort("l"), help: "Write each packet's line at once.")
  var lineBuffered = false

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text
    case json
    case none
  }

  func run() throws {
    var session = try hostOptions.session()
    var reader: CaptureReader
    do {
      reader = try CaptureReader(path: capture)
    } catch {
      throw Failure.unusable("\(error)")
    }
    let flushes = lineBuffered || capture == "-"
    var output = Output()
    let json = JSONTranscript()
    session.firewall.tracker.recordsEvents = format != .none

    while true {
      let frame: CapturedFrame?
      do {
        frame = try reader.next()
      } catch {
        try output.flush()
        throw Failure(message: "\(error)", status: 1)
      }
      guard let frame else { break }
      switch format {
      case .none:
        session.count(frame, reader.frameBytes, in: reader.interfaces)
      case .json:
        let report = session.report(frame, reader.frameBytes, in: reader.interfaces)
        let table = tables ? session.firewall.tracker.connections() : nil
        try output.append(flush: flushes) { json.append(report, table: table, to: &$0) }
      case .text:
        let report = session.report(frame, reader.frameBytes, in: reader.interfaces)
        try output.append(flush: flushes) { line in
          line.append(
            contentsOf: "\(report.number) \(report.outcome.verdict.name) \(report.reason)\n".utf8)
        }
      }
    }
    try output.flush()
    if let cut = reader.cut { StandardError.say("\(reader.name): \(cut)") }
  }
}
