// `weir replay`: a capture through a ruleset, packet by packet (contracts in docs/replay.md).

import ArgumentParser
import Capture
import ConntrackFormat
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

  @Flag(help: "text, none: print the final table.")
  var table = false

  @Option(help: "text: print the whole way of packet N through every hook, rule by rule.")
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

  private func check() throws {
    if tables && format != .json {
      throw Failure.unusable("--tables: is for --format json; --table prints the final table")
    }
    if table && format == .json {
      throw Failure.unusable("--table: is for text; with --format json, --tables gives every table")
    }
    if let packet {
      if format != .text { throw Failure.unusable("--packet: is for --format text") }
      if packet < 1 { throw Failure.unusable("--packet: packets count from 1, not \(packet)") }
    }
    if writePath == "-" {
      throw Failure.unusable("-w: standard output is taken by the transcript; name a file")
    }
  }

  func run() throws {
    try check()
    var session = try hostOptions.session()
    var reader = try CaptureReader.opening(capture)
    var emitted = try writePath.map { try EmittedFile(path: $0) }
    var output = Output()
    let style = Palette.forStandardOutput()
    var text = TextTranscript(style: style)
    let json = JSONTranscript()
    let flushes = lineBuffered || capture == "-"
    session.firewall.tracker.recordsEvents = format == .json || packet != nil
    var seen = 0

    while let frame = try reader.nextFrame(after: &output) {
      seen = frame.number
      if format == .none && writePath == nil {
        session.count(frame, reader.frameBytes, in: reader.interfaces)
        continue
      }
      session.recorder.keepsSteps = frame.number == packet
      let report = session.report(frame, reader.frameBytes, in: reader.interfaces)
      try emitted?.write(report)
      switch format {
      case .none: break
      case .json:
        let table = tables ? session.firewall.tracker.connections() : nil
        try output.append(flush: flushes) { json.append(report, table: table, to: &$0) }
      case .text:
        guard let packet else {
          try output.append(flush: flushes) { text.append(report, to: &$0) }
          break
        }
        text.begin(at: frame.timeNanoseconds)
        guard frame.number == packet else { break }
        let way = WayText(style: style, startNanoseconds: text.startNanoseconds ?? 0)
        try output.append { way.append(report, session.firewall, to: &$0) }
      }
      // Nothing after that packet has to do with its way.
      if frame.number == packet && !table && writePath == nil { break }
    }
    if let packet, seen < packet {
      throw Failure.unusable("--packet \(packet): \(reader.name) has only \(seen) packets")
    }
    try finish(&session, reader.cut.map { "\($0)" }, style, &output)
    if let cut = reader.cut { StandardError.say("\(reader.name): \(cut)") }
    try emitted.take()?.close()
  }

  private func finish(
    _ session: inout ReplaySession, _ cut: String?, _ style: TextStyle, _ output: inout Output
  ) throws {
    let summary = session.finish()
    if table {
      var form = ConntrackOutput()
      form.extended = true
      let writer = ConnectionWriter(form)
      if format == .text && packet == nil { try output.append("\n") }
      for connection in session.firewall.tracker.connections() {
        try output.append { line in
          writer.append(connection, to: &line)
          line.append(UInt8(ascii: "\n"))
        }
      }
    }
    if packet == nil && format != .json {
      var closing = TextSummary(style: style)
      closing.cut = cut
      if format == .text || table { try output.append("\n") }
      try output.append { closing.append(summary, to: &$0) }
    }
    try output.flush()
  }
}

extension CaptureReader {
  /// Opens a capture, or ends the command.
  static func opening(_ path: String) throws -> CaptureReader {
    do {
      return try CaptureReader(path: path)
    } catch {
      throw Failure.unusable("\(error)")
    }
  }

  /// The next frame, or the end of the command, with all output that is due before it.
  mutating func nextFrame(after output: inout Output) throws -> CapturedFrame? {
    do {
      return try next()
    } catch {
      try output.flush()
      throw Failure(message: "\(error)", status: 1)
    }
  }
}
