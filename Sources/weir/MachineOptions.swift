// The options that say whose rules and addresses count: of every command that runs a firewall.

import ArgumentParser
import Conntrack
import ConntrackFormat
import Firewall
import HostSnapshot
import Ruleset
import Wire

struct MachineOptions: ParsableArguments {
  @Option(help: "Folder that describes the machine (see docs/host-snapshot.md).")
  var host: String?

  @Option(help: "IPv4 rules: iptables-save text or iptables commands. Instead of the snapshot's.")
  var rules: String?

  @Option(help: "IPv6 rules. Instead of the snapshot's.")
  var rules6: String?

  @Option(help: "A sysctl, over the snapshot's: NAME=VALUE. May be repeated.")
  var set: [String] = []

  @Flag(help: "Leave out rules with matches or targets Weir does not know, and list them.")
  var ignoreUnsupported = false

  /// - Parameter local: addresses instead of a folder.
  func snapshot(local: [String] = []) throws -> HostSnapshot {
    do {
      if let host {
        if !local.isEmpty {
          throw Failure.unusable("--local: stands instead of --host; give one of the two")
        }
        return try HostSnapshot(
          folder: host, settings: set, ignoringUnsupported: ignoreUnsupported)
      }
      return try HostSnapshot(localAddresses: local, settings: set)
    } catch let error as HostSnapshotError {
      throw Failure.unusable("\(error)")
    }
  }

  func ruleset(_ snapshot: HostSnapshot) throws -> Ruleset {
    var ruleset = Ruleset()
    let options = ParseOptions(ignoreUnsupported: ignoreUnsupported)
    let texts: [(SnapshotText?, AddressFamily)] = [
      (try rules.map(read) ?? snapshot.rules4, .ipv4),
      (try rules6.map(read) ?? snapshot.rules6, .ipv6),
    ]
    for case (let text?, let family) in texts {
      do {
        try ruleset.apply(text.text, file: text.path, family: family, options: options)
      } catch {
        let hint =
          error.isUnsupported
          ? " (--ignore-unsupported leaves such rules out)" : ""
        throw Failure.unusable("\(error)\(hint)")
      }
    }
    if let rule = ruleset.unheeded.first, !ignoreUnsupported {
      throw Failure.unusable("\(rule) (--ignore-unsupported leaves such rules out)")
    }
    for rule in ruleset.ignored + ruleset.unheeded {
      StandardError.say("weir: left out: \(rule)")
    }
    return ruleset
  }

  private func read(_ path: String) throws -> SnapshotText {
    do {
      return try SnapshotText(reading: path)
    } catch {
      throw Failure.unusable("\(error)")
    }
  }

  /// `--set` of a conntrack setting that does not exist is a slip of the pen; a snapshot's file may
  /// hold anything.
  private func checkSettingNames() throws {
    let known = Set(ConntrackSettings.entries.map(\.name))
    for text in set {
      let name = Sysctls.normalised(String(text.split(separator: "=").first ?? ""))
      let isOurs = name.hasPrefix("net.netfilter.nf_conntrack") || name.hasPrefix("weir.")
      guard isOurs, !known.contains(name) else { continue }
      throw Failure.unusable(
        "--set: there is no setting `\(name)`; see `sysctl net.netfilter` on Linux for their names")
    }
  }

  func settings(_ snapshot: HostSnapshot) throws -> ConntrackSettings {
    try checkSettingNames()
    var settings = ConntrackSettings()
    for entry in ConntrackSettings.entries {
      guard let value = snapshot.configuration.sysctls.text(entry.name) else { continue }
      do {
        try settings.set(entry.name, to: value)
      } catch {
        throw Failure.unusable(
          "\(entry.name): `\(value)` is no value for it; expected a number from 0 to 2147483647")
      }
    }
    return settings
  }

  func connections(_ snapshot: HostSnapshot) throws -> [Connection] {
    var connections: [Connection] = []
    for line in snapshot.conntrackLines {
      do {
        connections.append(try ConntrackFormat.parse(line: line.text[...]))
      } catch {
        throw Failure.unusable("\(snapshot.conntrackPath ?? ""):\(line.number):\(error)")
      }
    }
    return connections
  }
}
