// `weir iptables`, `weir ip6tables`, and their -save and -restore: iptables(8) on the rules of a running
// gateway.

#if os(Linux)
  import ArgumentParser
  import ConntrackFormat
  import Foundation
  import Gateway
  import Glibc
  import TableControl

  /// What the six have in common.
  protocol RulesCommand: ParsableCommand {
    static var program: String { get }
    var words: [String] { get }
  }

  extension RulesCommand {
    static func about(_ program: String, _ abstract: String) -> CommandConfiguration {
      CommandConfiguration(
        commandName: program, abstract: abstract,
        usage: "weir \(program) [--control <socket>] <\(program)'s own words>")
    }

    func run() throws {
      let own = try RulesWords(words, Self.program)
      let now = Int64(Date().timeIntervalSince1970) + Int64(TimeZone.current.secondsFromGMT())
      var request = IptablesRequest(
        program: Self.program, arguments: own.words,
        date: CalendarTime(secondsSince1970: now).text)
      guard own.words.count <= IptablesRequest.mostArguments else {
        throw Failure.unusable("\(Self.program): more words than a gateway takes")
      }
      if Self.program.hasSuffix("-restore") { request.input = try own.input() }
      let answer: IptablesAnswer
      do {
        answer = try GatewayTable(own.control).run(request)
      } catch let error as TableError {
        throw Failure(message: "weir \(Self.program): \(error.text)", status: 1)
      }
      _ = Foreign.write(answer.errors, to: 2)
      guard Foreign.write(answer.output, to: 1) else {
        throw Failure(message: "standard output: cannot be written to", status: 1)
      }
      if answer.status != 0 { Foreign.exit(answer.status) }
    }
  }

  /// The words after the command, Weir's own set apart.
  struct RulesWords {
    private(set) var control = ControlServer.defaultPath
    /// What is the program's.
    private(set) var words: [String] = []
    /// What a `-restore` reads instead of standard input.
    private(set) var file: String?

    private static let withValue: Set<String> = ["-T", "--table", "-M", "--modprobe"]
    private static let withNumber: Set<String> = ["-w", "--wait", "-W", "--wait-interval"]

    init(_ all: [String], _ program: String) throws {
      var rest = all[...]
      while let word = rest.popFirst() {
        if word == "--control" {
          guard let path = rest.popFirst() else {
            throw Failure.unusable("weir \(program): --control needs a value")
          }
          control = path
        } else if word.hasPrefix("--control=") {
          control = String(word.dropFirst("--control=".count))
        } else {
          words.append(word)
        }
      }
      if program.hasSuffix("-restore") { try takeFile() }
    }

    private mutating func takeFile() throws {
      var index = 0
      while index < words.count {
        let word = words[index]
        if RulesWords.withValue.contains(word) {
          index += 2
        } else if RulesWords.withNumber.contains(word), index + 1 < words.count,
          UInt(words[index + 1]) != nil
        {
          index += 2
        } else if word.hasPrefix("-") {
          index += 1
        } else {
          if file != nil {
            throw Failure(message: "Unknown arguments found on commandline", status: 1)
          }
          file = words.remove(at: index)
        }
      }
    }

    /// What is to be restored.
    func input() throws -> String {
      // Asked for its version only, the program reads nothing.
      if words.contains("-V") || words.contains("--version") { return "" }
      guard let file else {
        return String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self)
      }
      func failure(_ number: Int32) -> Failure {
        Failure(message: "Can't open \(file): \(TableError(number: number).text)", status: 1)
      }
      // A string of the call's own; the handle closes what it opens.
      let descriptor = unsafe open(file, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { throw failure(errno) }
      let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
      guard let data = try? handle.readToEnd() ?? Data() else { throw failure(EIO) }
      return String(decoding: data, as: UTF8.self)
    }
  }

  struct IptablesCommand: RulesCommand {
    static let program = "iptables"
    static let configuration = about(program, "Show and change a running gateway's IPv4 rules.")
    @Argument(parsing: .captureForPassthrough) var words: [String] = []
  }

  struct Ip6tablesCommand: RulesCommand {
    static let program = "ip6tables"
    static let configuration = about(program, "Show and change a running gateway's IPv6 rules.")
    @Argument(parsing: .captureForPassthrough) var words: [String] = []
  }

  struct IptablesSaveCommand: RulesCommand {
    static let program = "iptables-save"
    static let configuration = about(program, "Write a running gateway's IPv4 rules.")
    @Argument(parsing: .captureForPassthrough) var words: [String] = []
  }

  struct Ip6tablesSaveCommand: RulesCommand {
    static let program = "ip6tables-save"
    static let configuration = about(program, "Write a running gateway's IPv6 rules.")
    @Argument(parsing: .captureForPassthrough) var words: [String] = []
  }

  struct IptablesRestoreCommand: RulesCommand {
    static let program = "iptables-restore"
    static let configuration = about(program, "Load IPv4 rules into a running gateway.")
    @Argument(parsing: .captureForPassthrough) var words: [String] = []
  }

  struct Ip6tablesRestoreCommand: RulesCommand {
    static let program = "ip6tables-restore"
    static let configuration = about(program, "Load IPv6 rules into a running gateway.")
    @Argument(parsing: .captureForPassthrough) var words: [String] = []
  }
#endif
