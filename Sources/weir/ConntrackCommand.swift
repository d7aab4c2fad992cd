// `weir conntrack`: conntrack(8) on a table of connections: a running gateway's, the running kernel's own, or
// the one a capture leaves behind.

import ArgumentParser
import Conntrack
import ConntrackFormat
import Foundation
import TableControl

#if os(Linux)
  import Gateway
  import KernelTable
#endif

struct ConntrackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "conntrack",
    abstract: "Show and change tables of connections, with conntrack's own options.",
    usage:
      "weir conntrack <conntrack's options> [--control <socket> | --kernel | --capture <file> [<options>]]",
    discussion: help)

  static let help = """
    -L  list         -G  get one        -C  count       -S  counters
    -I  create       -A  add            -U  update      -D  delete
    -F  flush        -E  events         -R FILE  commands from a file
                     each but -A, -U and -R with `expect` too; -L with `dying` and `unconfirmed`
    -o WORDS         extended, id, timestamp, ktimestamp, labels, userspace; xml; save; json
    -p -s -d --sport --dport --state -r -q -u -m -w -f -l -n -g -j -t -i …
                     as in conntrack(8)

    --control SOCKET the table of the gateway that listens there; without any of the three: of the one that
                     listens on /run/weir.sock
    --kernel         the running kernel's table (Linux, as root)
    --capture FILE   the table a capture leaves behind, read only: -L -G -C -S -E. pcap or pcapng, gzip
                     too; - is standard input
    --host DIR, --rules FILE, --rules6 FILE, --local ADDRESS, --in NAME,
    --set NAME=VALUE, --clock capture|frozen, --seed N, --ignore-unsupported,
    --fill-truncated with --capture, as for `weir replay`
    --procfs         with --capture and -L: the lines of /proc/net/nf_conntrack
    """

  @Argument(parsing: .captureForPassthrough)
  var words: [String] = []

  func run() throws {
    let own = try OwnOptions(words)
    do {
      try run(own)
    } catch let error as ConntrackArgumentError {
      throw Failure(message: "\(error)", status: ConntrackArgumentError.exitStatus)
    } catch let failure as ConntrackFailure {
      throw Failure(message: failure.description, status: 1)
    }
  }

  /// The names the machine gives labels; nil where it names none.
  private static func labelNames() -> LabelNames? {
    let path = "/etc/xtables/connlabel.conf"
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
    return LabelNames(configuration: text)
  }

  private func run(_ own: OwnOptions) throws {
    let names = ConntrackCommand.labelNames()
    let commands: ConntrackCommands
    if let first = own.words.first, first == "-R" || first == "--load-file", own.words.count > 1 {
      commands = .file(
        try ConntrackCommandLine.lines(
          of: ConntrackCommand.text(of: own.words[1]), labelNames: names)
      )
    } else {
      let line = try ConntrackCommandLine(own.words, labelNames: names)
      switch line.operation {
      case nil, .help: return print(ConntrackCommand.helpMessage())
      case .version: return print(ConntrackFormat.programBanner)
      default: commands = .line(line)
      }
    }
    if own.kernel {
      #if os(Linux)
        return try run(commands) { try KernelTable() }
      #else
        throw Failure.unusable("weir conntrack: --kernel is for Linux")
      #endif
    }
    guard let capture = own.capture else {
      if own.procfs || !own.hostWords.isEmpty {
        throw Failure.unusable("weir conntrack: --capture FILE says whose table to show")
      }
      #if os(Linux)
        let path = own.control ?? ControlServer.defaultPath
        return try run(commands) { try GatewayTable(path) }
      #else
        throw Failure.unusable("weir conntrack: --capture FILE says whose table to show")
      #endif
    }
    let replay = try ReplayTable(capture, hostWords: own.hostWords)
    if own.procfs { return try replay.listAsProc(commands) }
    try run(commands) { replay }
  }

  private func run<Backend: ConntrackBackend>(
    _ commands: ConntrackCommands, on open: () throws -> Backend
  ) throws {
    let backend: Backend
    do {
      backend = try open()
    } catch let error as TableError {
      throw ConntrackFailure(ConntrackMessage.failed(error.reason(.other)))
    }
    var program = ConntrackProgram(backend: backend, console: StandardConsole())
    let status: Int32
    switch commands {
    case .file(let lines): status = try program.load(lines)
    case .line(let line):
      #if os(Linux)
        if line.operation == .events { program.interruption = Interruption.descriptor() }
      #endif
      status = try program.run(line)
    }
    if status != 0 { Foreign.exit(status) }
  }

  /// A file of commands, or standard input.
  private static func text(of path: String) throws -> String {
    let data =
      path == "-"
      ? FileHandle.standardInput.readDataToEndOfFile() : FileManager.default.contents(atPath: path)
    guard let data else {
      throw ConntrackArgumentError("Failed to open file \(path) for reading")
    }
    return String(decoding: data, as: UTF8.self)
  }
}

/// What is to be done: one command line, or those of a file.
enum ConntrackCommands {
  case line(ConntrackCommandLine)
  case file([ConntrackCommandLine])
}

/// The words after `weir conntrack`: Weir's own options set apart from conntrack's.
struct OwnOptions {
  /// The words for `HostOptions`.
  private(set) var hostWords: [String] = []
  private(set) var capture: String?
  private(set) var control: String?
  /// `-L` as `/proc/net/nf_conntrack`.
  private(set) var procfs = false
  private(set) var kernel = false
  /// What is left is conntrack's.
  private(set) var words: [String] = []

  private static let withValue: Set<String> = [
    "--host", "--rules", "--rules6", "--local", "--in", "--set", "--clock", "--seed", "--capture",
    "--control",
  ]
  private static let flags: Set<String> = ["--ignore-unsupported", "--fill-truncated"]

  init(_ all: [String]) throws {
    var index = 0
    while index < all.count {
      let word = all[index]
      index += 1
      let sign = word.hasPrefix("--") ? word.firstIndex(of: "=") : nil
      let name = sign.map { String(word[..<$0]) } ?? word
      switch name {
      case "--procfs": procfs = true
      case "--kernel": kernel = true
      case _ where OwnOptions.flags.contains(name): hostWords.append(name)
      case _ where OwnOptions.withValue.contains(name):
        var value = sign.map { String(word[word.index(after: $0)...]) }
        if value == nil, index < all.count {
          value = all[index]
          index += 1
        }
        guard let value else { throw Failure.unusable("weir conntrack: \(name) needs a value") }
        switch name {
        case "--capture": capture = value
        case "--control": control = value
        default: hostWords += [name, value]
        }
      default: words.append(word)
      }
    }
    if kernel || control != nil, capture != nil || procfs || !hostWords.isEmpty {
      throw Failure.unusable(
        "weir conntrack: --kernel and --control stand alone; the other options are for --capture")
    }
    if kernel && control != nil {
      throw Failure.unusable("weir conntrack: --kernel or --control, not both")
    }
  }
}

/// Standard output and standard error.
struct StandardConsole: ConntrackConsole {
  private var output = Output()

  mutating func write(_ append: (inout [UInt8]) -> Void) throws { try output.append(append) }
  mutating func flush() throws { try output.flush() }
  mutating func say(_ line: String) { StandardError.say(line) }
  var secondsAheadOfUTC: Int64 { Int64(TimeZone.current.secondsFromGMT()) }
}
