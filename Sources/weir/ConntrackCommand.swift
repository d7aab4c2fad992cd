// `weir conntrack`: the table a capture leaves behind, as `conntrack` shows the kernel's.

import ArgumentParser
import Capture
import Conntrack
import ConntrackFormat
import Foundation
import Replay

struct ConntrackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "conntrack",
    abstract: "Show the connections a capture leaves behind, with conntrack's own options.",
    usage: "weir conntrack -L|-C|-E|-S [<conntrack's options>] --capture <file> [<options>]",
    discussion: help)

  static let help = """
    -L               list the connections there are after the last packet
    -L expect        list what helpers expect; -E, -C and -S take `expect` too
    -C               count them
    -E               show every event of the whole capture
    -S               show the counters
    -o WORDS         extended, id, timestamp, ktimestamp, labels; xml; save
    -p -s -d --sport --dport --state -r -q -u -m -w -f -l -n -g -j …
                     only the connections meant, as in conntrack(8)
    -e WORDS         with -E: NEW, UPDATES, DESTROY

    --capture FILE   pcap or pcapng, gzip too; - is standard input
    --host DIR, --rules FILE, --rules6 FILE, --local ADDRESS, --in NAME,
    --set NAME=VALUE, --clock capture|frozen, --seed N, --ignore-unsupported,
    --fill-truncated as for `weir replay`
    --procfs         with -L: the lines of /proc/net/nf_conntrack
    """

  @Argument(parsing: .captureForPassthrough)
  var words: [String] = []

  func run() throws {
    do {
      try run(ConntrackArguments(words, labelNames: ConntrackCommand.labelNames()))
    } catch let error as ConntrackArgumentError {
      throw Failure(message: "\(error)", status: ConntrackArgumentError.exitStatus)
    }
  }

  /// The names the machine gives labels, where it has any.
  private static func labelNames() -> LabelNames {
    let path = "/etc/xtables/connlabel.conf"
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      return LabelNames()
    }
    return LabelNames(configuration: text)
  }

  private func run(_ arguments: ConntrackArguments) throws {
    guard let command = arguments.command, command != .help else {
      print(ConntrackCommand.helpMessage())
      return
    }
    if command == .version {
      print(ConntrackFormat.programBanner)
      return
    }
    guard let path = arguments.capture else {
      throw Failure.unusable(
        "weir conntrack: --capture FILE says whose table to show; the tables of a running gateway "
          + "and of this machine's kernel cannot be asked yet")
    }
    var session: ReplaySession
    do {
      session = try HostOptions.parse(arguments.hostWords).session()
    } catch let failure as Failure {
      throw failure
    } catch {
      throw Failure.unusable("weir conntrack: \(HostOptions.message(for: error))")
    }
    var reader = try CaptureReader.opening(path)
    var output = Output()
    var events = EventPrinter(arguments)
    session.firewall.tracker.recordsEvents = command == .events
    while let frame = try reader.nextFrame(after: &output) {
      session.count(frame, reader.frameBytes, in: reader.interfaces)
      guard command == .events else { continue }
      let told = session.firewall.tracker.takeEvents()
      let expectations = session.firewall.tracker.takeExpectationEvents()
      if arguments.table == .conntrack {
        for event in told {
          try output.append(flush: path == "-") { events.append(event, to: &$0) }
        }
      } else if arguments.table == .expect {
        for event in expectations {
          try output.append(flush: path == "-") { events.append(event, to: &$0) }
        }
      }
    }
    session.settle()
    if let cut = reader.cut { StandardError.say("\(reader.name): \(cut)") }
    try show(command, arguments, session, &events, &output)
  }

  private func show(
    _ command: ConntrackArguments.Command, _ arguments: ConntrackArguments,
    _ session: borrowing ReplaySession, _ events: inout EventPrinter, _ output: inout Output
  ) throws {
    switch (command, arguments.table) {
    case (.list, .expect): try listExpectations(arguments, session, &output)
    case (.list, .dying), (.list, .unconfirmed): StandardError.say(ConntrackMessage.shown(0))
    case (.list, .conntrack): try list(arguments, session, &output)
    case (.count, .expect):
      try output.append(
        "\(ConntrackMessage.count(session.firewall.tracker.expectationCount))\n")
    case (.count, _):
      try output.append("\(ConntrackMessage.count(session.firewall.tracker.count))\n")
    case (.statistics, .expect):
      let statistics = session.firewall.tracker.expectationStatistics
      try output.append("\(ConntrackMessage.statistics(statistics, cpu: 0))\n")
    case (.statistics, _):
      let statistics = session.firewall.tracker.statistics
      try output.append("\(ConntrackMessage.statistics(statistics, cpu: 0))\n")
    case (.events, .expect):
      try output.append { events.end(to: &$0) }
      try output.flush()
      StandardError.say(ConntrackMessage.expectationEventsShown(events.count))
    case (.events, _):
      try output.append { events.end(to: &$0) }
      try output.flush()
      StandardError.say(ConntrackMessage.eventsShown(events.count))
    case (.help, _), (.version, _): break
    }
    try output.flush()
  }

  /// Of IPv4, as conntrack does, unless `-f` says otherwise.
  private func listExpectations(
    _ arguments: ConntrackArguments, _ session: borrowing ReplaySession, _ output: inout Output
  ) throws {
    var form = arguments.output
    form.nowNanoseconds = session.firewall.tracker.now
    form.secondsAheadOfUTC = Int64(TimeZone.current.secondsFromGMT())
    let writer = ExpectationWriter(form)
    let family = arguments.filter.family ?? .ipv4
    var count = 0
    for expectation in session.firewall.tracker.expectations()
    where arguments.procfs || expectation.tuple.family == family {
      if count == 0 && arguments.form == .xml {
        try output.append("\(ExpectationWriter.prologue)\n")
      }
      count += 1
      try output.append { text in
        if arguments.procfs {
          writer.append(proc: expectation, to: &text)
        } else if arguments.form == .xml {
          writer.append(xml: expectation, to: &text)
        } else {
          writer.append(expectation, to: &text)
        }
        text.append(UInt8(ascii: "\n"))
      }
    }
    if count > 0 && arguments.form == .xml {
      try output.append("\(ExpectationWriter.epilogue)\n")
    }
    try output.flush()
    if !arguments.procfs { StandardError.say(ConntrackMessage.expectationsShown(count)) }
  }

  private func list(
    _ arguments: ConntrackArguments, _ session: borrowing ReplaySession, _ output: inout Output
  ) throws {
    let now = session.firewall.tracker.now
    var form = arguments.output
    form.nowNanoseconds = now
    form.secondsAheadOfUTC = Int64(TimeZone.current.secondsFromGMT())
    let lines = ConnectionWriter(form)
    let xml = XMLWriter(form)
    let save = SaveWriter()
    var proc = ProcWriter(nowNanoseconds: now)
    let settings = session.firewall.tracker.settings
    proc.greTimeoutSeconds = (
      UInt32(clamping: settings.greTimeout / 1_000_000_000),
      UInt32(clamping: settings.greTimeoutStream / 1_000_000_000)
    )
    var count = 0
    for connection in session.firewall.tracker.connections()
    where arguments.filter.matches(connection) {
      if count == 0 && arguments.form == .xml { try output.append("\(XMLWriter.prologue)\n") }
      count += 1
      try output.append { text in
        switch arguments.form {
        case .lines where arguments.procfs: proc.append(connection, to: &text)
        case .lines: lines.append(connection, to: &text)
        case .xml: xml.append(connection, to: &text)
        case .save: save.append(connection, to: &text)
        }
        text.append(UInt8(ascii: "\n"))
      }
    }
    if count > 0 && arguments.form == .xml { try output.append("\(XMLWriter.epilogue)\n") }
    try output.flush()
    if !arguments.procfs { StandardError.say(ConntrackMessage.shown(count)) }
  }
}

/// Prints the events that are meant, in the form that is asked for.
struct EventPrinter {
  private let arguments: ConntrackArguments
  private let lines: ConnectionWriter
  private let xml: XMLWriter
  private let save = SaveWriter()
  private let expectations: ExpectationWriter
  private(set) var count = 0

  init(_ arguments: ConntrackArguments) {
    self.arguments = arguments
    var form = arguments.output
    form.secondsAheadOfUTC = Int64(TimeZone.current.secondsFromGMT())
    lines = ConnectionWriter(form)
    xml = XMLWriter(form)
    expectations = ExpectationWriter(form)
  }

  mutating func append(_ event: ExpectationEvent, to text: inout [UInt8]) {
    if arguments.form == .xml {
      if count == 0 { text.append(contentsOf: "\(ExpectationWriter.prologue)\n".utf8) }
      expectations.append(xml: event, to: &text)
    } else {
      expectations.append(event, to: &text)
    }
    count += 1
    text.append(UInt8(ascii: "\n"))
  }

  mutating func append(_ event: ConnectionEvent, to text: inout [UInt8]) {
    let word: ConntrackArguments.EventWord =
      switch event.kind {
      case .new: .new
      case .update: .updates
      case .destroy: .destroy
      }
    if let mask = arguments.eventMask, !mask.contains(word) { return }
    guard arguments.filter.matches(event.connection) else { return }
    if count == 0 && arguments.form == .xml {
      text.append(contentsOf: "\(XMLWriter.prologue)\n".utf8)
    }
    count += 1
    switch arguments.form {
    case .lines: lines.append(event, to: &text)
    case .xml: xml.append(event, to: &text)
    case .save:
      let start = text.count
      save.append(event.connection, to: &text)
      // `-A` stands for what is new.
      switch event.kind {
      case .new: break
      case .update: text[start + 1] = UInt8(ascii: "U")
      case .destroy: text[start + 1] = UInt8(ascii: "D")
      }
    }
    text.append(UInt8(ascii: "\n"))
  }

  /// What comes after the last event.
  func end(to text: inout [UInt8]) {
    if count > 0 && arguments.form == .xml {
      let epilogue =
        arguments.table == .expect ? ExpectationWriter.epilogue : XMLWriter.epilogue
      text.append(contentsOf: "\(epilogue)\n".utf8)
    }
  }
}
