// `weir snapshot DIR`: the folder of docs/host-snapshot.md about the machine this runs on, for `--host`.

#if os(Linux)
  import ArgumentParser
  import Foundation

  struct SnapshotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "snapshot",
      abstract:
        "Write down what this machine would do with a packet, for --host (docs/host-snapshot.md).")

    @Argument(help: "The folder to write; it is made if there is none.")
    var folder: String

    @Flag(help: "Without the table of connections.")
    var withoutConnections = false

    func run() throws {
      do {
        try FileManager.default.createDirectory(
          atPath: folder, withIntermediateDirectories: true,
          attributes: [.posixPermissions: 0o700])
      } catch {
        throw Failure(message: "weir snapshot: \(folder): \(error.localizedDescription)", status: 1)
      }
      var written: [String] = []
      for part in SnapshotPart.all where !(withoutConnections && part.file == "conntrack.txt") {
        if let text = try part.text() {
          try write(text, to: part.file)
          written.append(part.file)
        }
      }
      try write(SnapshotSysctls.text(), to: "sysctl.conf")
      written.append("sysctl.conf")
      StandardError.say("weir snapshot: \(folder): \(written.joined(separator: ", "))")
    }

    private func write(_ text: Data, to file: String) throws {
      let path = "\(folder)/\(file)"
      guard
        FileManager.default.createFile(
          atPath: path, contents: text, attributes: [.posixPermissions: 0o600])
      else { throw Failure(message: "weir snapshot: \(path) cannot be written", status: 1) }
    }
  }

  /// A file of the snapshot that a command prints.
  struct SnapshotPart {
    let file: String
    let words: [String]
    /// Without its command the file is left out; else there is no snapshot.
    let isNeeded: Bool

    static let all = [
      SnapshotPart("rules.v4", "iptables-save -c"), SnapshotPart("rules.v6", "ip6tables-save -c"),
      SnapshotPart("addresses.json", "ip -j addr show", isNeeded: true),
      SnapshotPart("routes.json", "ip -j route show table all", isNeeded: true),
      SnapshotPart("routes6.json", "ip -j -6 route show table all", isNeeded: true),
      SnapshotPart("ruleset.nft", "nft list ruleset"),
      SnapshotPart("conntrack.txt", "conntrack -L -o extended"),
      SnapshotPart("timeouts.txt", "nfct list timeout"),
    ]

    private init(_ file: String, _ command: String, isNeeded: Bool = false) {
      self.file = file
      words = command.split(separator: " ").map(String.init)
      self.isNeeded = isNeeded
    }

    /// What the command printed; nil where the file has nothing to say.
    func text() throws -> Data? {
      guard let path = SnapshotPart.path(of: words[0]) else {
        let what = "weir snapshot: \(file): there is no `\(words[0])` on this machine"
        if isNeeded { throw Failure(message: what, status: 1) }
        StandardError.say("\(what); the snapshot goes without")
        return nil
      }
      let process = Process()
      process.executableURL = URL(filePath: path)
      process.arguments = Array(words.dropFirst())
      let (output, errors) = (Pipe(), Pipe())
      process.standardOutput = output
      process.standardError = errors
      process.standardInput = FileHandle.nullDevice
      do {
        try process.run()
      } catch {
        throw Failure(message: "weir snapshot: \(path): \(error.localizedDescription)", status: 1)
      }
      // What these commands complain is shorter than a pipe holds.
      let text = output.fileHandleForReading.readDataToEndOfFile()
      let said = errors.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      guard process.terminationStatus == 0 else {
        let reason = String(decoding: said, as: UTF8.self).split(separator: "\n").first ?? ""
        throw Failure(
          message: "weir snapshot: `\(words.joined(separator: " "))`: \(reason)", status: 1)
      }
      // iptables' rules are in rules.v4 and rules.v6 already; what nft shows of them is theirs.
      if file == "ruleset.nft" { return SnapshotNFT.ownTables(text, warnings: said) }
      // An empty list says the same as none.
      return text.isEmpty && !isNeeded ? nil : text
    }

    private static func path(of name: String) -> String? {
      let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"]
      return folders.map { "\($0)/\(name)" }.first {
        FileManager.default.isExecutableFile(atPath: $0)
      }
    }
  }

  enum SnapshotNFT {
    /// A listing without the tables that iptables made; nil where no other is left.
    /// - Parameter warnings: what nft says beside it, a line for each such table: `# Warning: table ip nat is
    ///   managed by iptables-nft, do not touch!`
    static func ownTables(_ text: Data, warnings: Data) -> Data? {
      var foreign: Set<String> = []
      for line in String(decoding: warnings, as: UTF8.self).split(separator: "\n") {
        let words = line.split(separator: " ")
        if words.starts(with: ["#", "Warning:", "table"]), words.count > 4 {
          foreign.insert("table \(words[3]) \(words[4]) {")
        }
      }
      var kept = ""
      var isForeign = false
      for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
        if line.hasPrefix("table ") { isForeign = foreign.contains(String(line)) }
        if !isForeign { kept += line + "\n" }
      }
      return kept.isEmpty ? nil : Data(kept.utf8)
    }
  }

  /// `sysctl.conf`: the settings that packets meet, read where sysctl(8) reads them.
  enum SnapshotSysctls {
    static func text() -> Data {
      var lines: [String] = []
      for root in ["net/ipv4", "net/ipv6", "net/netfilter"] {
        let base = "/proc/sys/\(root)"
        guard let files = FileManager.default.enumerator(atPath: base) else { continue }
        for case let file as String in files {
          guard let data = FileManager.default.contents(atPath: "\(base)/\(file)") else { continue }
          let value = String(decoding: data, as: UTF8.self)
          if value.isEmpty { continue }
          // A dot within a name, as of a VLAN, is a slash in the setting's.
          let name = "\(root)/\(file)".split(separator: "/").map {
            $0.replacingOccurrences(of: ".", with: "/")
          }.joined(separator: ".")
          for line in value.split(separator: "\n") { lines.append("\(name) = \(line)") }
        }
      }
      return Data((lines.sorted().joined(separator: "\n") + "\n").utf8)
    }
  }
#endif
