// `weir snapshot DIR`: the folder of docs/host-snapshot.md about the machine this runs on, for `--host`.

#if os(Linux)
  import ArgumentParser
  import ConntrackFormat
  import Foundation
  import KernelTable
  import TableControl

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
      // Which tables iptables has, by nft's name of their family.
      var families: [String: Set<String>] = [:]
      for part in SnapshotPart.all {
        guard var text = try part.text() else { continue }
        if part.file == "ruleset.nft" {
          text = SnapshotNFT.ownTables(text, besides: families)
        } else if let family = part.family {
          families[family] = SnapshotNFT.tables(savedIn: text)
        }
        // An empty list says the same as none.
        if text.isEmpty { continue }
        try write(Data(text.utf8), to: part.file)
        written.append(part.file)
      }
      if !withoutConnections {
        try write(SnapshotConnections.text(), to: "conntrack.txt")
        written.append("conntrack.txt")
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
    let command: String
    /// Of rules: as nft calls the family.
    var family: String?
    /// Without its command the file is left out; else there is no snapshot.
    var isNeeded = false

    static let all = [
      SnapshotPart(file: "rules.v4", command: "iptables-save -c", family: "ip"),
      SnapshotPart(file: "rules.v6", command: "ip6tables-save -c", family: "ip6"),
      SnapshotPart(file: "addresses.json", command: "ip -j addr show", isNeeded: true),
      SnapshotPart(
        file: "routes.json", command: "ip -j route show table all", isNeeded: true),
      SnapshotPart(
        file: "routes6.json", command: "ip -j -6 route show table all", isNeeded: true),
      // What it warns of, tables of iptables, is not in the file.
      SnapshotPart(file: "ruleset.nft", command: "nft list ruleset 2>/dev/null"),
      SnapshotPart(file: "timeouts.txt", command: "nfct list timeout"),
    ]

    /// What the command printed; nil where there is no such command.
    func text() throws -> String? {
      do {
        return try SystemCommand.output(of: command)
      } catch .failed {
        throw Failure(message: "weir snapshot: `\(command)` failed", status: 1)
      } catch .missing(let name) {
        let what = "weir snapshot: \(file): there is no `\(name)` on this machine"
        if isNeeded { throw Failure(message: what, status: 1) }
        StandardError.say("\(what); the snapshot goes without")
        return nil
      }
    }
  }

  enum SnapshotNFT {
    /// The tables in an iptables-save text.
    static func tables(savedIn text: String) -> Set<String> {
      Set(text.split(separator: "\n").filter { $0.hasPrefix("*") }.map { String($0.dropFirst()) })
    }

    /// A listing without the tables that are iptables' and so in rules.v4 and rules.v6 already.
    /// - Parameter families: which those are, by family.
    static func ownTables(_ text: String, besides families: [String: Set<String>]) -> String {
      var kept = ""
      var isForeign = false
      for line in text.split(separator: "\n") {
        if line.hasPrefix("table ") {
          let words = line.split(separator: " ")
          isForeign =
            words.count > 2 && families[String(words[1])]?.contains(String(words[2])) == true
        }
        if !isForeign { kept += line + "\n" }
      }
      return kept
    }
  }

  /// `conntrack.txt`: the kernel's table, in conntrack's extended form.
  enum SnapshotConnections {
    static func text() throws -> Data {
      var output = ConntrackOutput()
      output.extended = true
      let writer = ConnectionWriter(output)
      var bytes: [UInt8] = []
      do {
        try KernelTable().list(ListRequest()) { connection in
          writer.append(connection, to: &bytes)
          bytes.append(UInt8(ascii: "\n"))
        }
      } catch let error as TableError {
        throw Failure(
          message: "weir snapshot: conntrack.txt: \(error.reason(.other))", status: 1)
      }
      return Data(bytes)
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
