// A host snapshot: a folder of files that standard commands print (contracts/host-snapshot.md), read into
// one machine. For replay, and for whoever has such a folder from another machine.

import Firewall
import Wire

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// One machine, as its files describe it.
public struct HostSnapshot: Sendable {
  /// Interfaces, addresses, routes and settings.
  public var configuration: HostConfiguration
  /// `rules.v4` and `rules.v6`, unparsed; nil where absent.
  public var rules4: SnapshotText?
  public var rules6: SnapshotText?
  /// `conntrack.txt`, unparsed: its path, and its lines that are not blank.
  public var conntrackPath: String?
  public var conntrackLines: [SnapshotLine] = []
  /// What was passed over and may matter, one line each: routes of tables no rule leads to, say.
  public var notes: [String] = []

  /// Reads the files of `folder`, all of which may be absent. `settings` are `NAME=VALUE`, over the
  /// snapshot's own. With `ignoringUnsupported`, what Weir cannot do yet is passed over and noted.
  ///
  /// Reads each file whole; O(size of the files × log routes).
  public init(
    folder: String, settings: [String] = [], ignoringUnsupported: Bool = false
  ) throws(HostSnapshotError) {
    var isFolder = false
    guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder else {
      throw HostSnapshotError(
        file: folder, "is no folder; a host snapshot is one, made by `weir snapshot DIR`")
    }
    if let file = try SnapshotFile.read("ruleset.nft", in: folder) {
      let what = "nft rules are not supported yet"
      guard ignoringUnsupported else {
        throw HostSnapshotError(
          file: file.path,
          "\(what); take the file away, or pass it over with --ignore-unsupported")
      }
      notes.append("\(file.path): \(what): ignored")
    }
    var sysctls = Sysctls()
    if let file = try SnapshotFile.read("sysctl.conf", in: folder) {
      sysctls = try SysctlFile.parse(file)
    }
    try SysctlFile.apply(settings, to: &sysctls)
    configuration = try HostSnapshot.configuration(
      addresses: try SnapshotFile.read("addresses.json", in: folder),
      routes: try SnapshotFile.read("routes.json", in: folder),
      routes6: try SnapshotFile.read("routes6.json", in: folder), sysctls, notes: &notes)
    if let file = try SnapshotFile.read("timeouts.txt", in: folder) {
      configuration.timeoutPolicies = try TimeoutsFile.parse(file)
    }
    rules4 = try HostSnapshot.text("rules.v4", folder)
    rules6 = try HostSnapshot.text("rules.v6", folder)
    if let file = try HostSnapshot.text("conntrack.txt", folder) {
      conntrackPath = file.path
      conntrackLines = SnapshotLine.lines(of: file.text)
        // What `conntrack -L` says at the end, if that went into the file too.
        .filter { !$0.text.hasPrefix("conntrack v") }
    }
  }

  /// A machine with these addresses and nothing else (`--local ADDRESS`); none at all means that
  /// every packet is forwarded.
  public init(
    localAddresses: [String], settings: [String] = []
  ) throws(HostSnapshotError) {
    var sysctls = Sysctls()
    try SysctlFile.apply(settings, to: &sysctls)
    var addresses: [(address: IPAddress, family: AddressFamily)] = []
    for text in localAddresses {
      guard let address = IPAddress.parse(text) else {
        throw HostSnapshotError(
          file: "--local", "`\(text)` is no address; expected one such as 192.0.2.1 or 2001:db8::1")
      }
      addresses.append(address)
    }
    configuration = HostConfiguration(localAddresses: addresses, sysctls: sysctls)
  }

  /// A machine from the texts that its files would hold, as `ip -j` and `sysctl` print them. `settings` as
  /// of a folder's.
  public init(
    addresses: String, routes: String, routes6: String, sysctls text: String,
    settings: [String] = []
  ) throws(HostSnapshotError) {
    func file(_ name: String, _ text: String) -> SnapshotFile {
      SnapshotFile(path: name, bytes: Data(text.utf8))
    }
    var sysctls = try SysctlFile.parse(file("sysctl", text))
    try SysctlFile.apply(settings, to: &sysctls)
    configuration = try HostSnapshot.configuration(
      addresses: file("ip -j addr show", addresses),
      routes: file("ip -j route show table all", routes),
      routes6: file("ip -j -6 route show table all", routes6), sysctls, notes: &notes)
  }

  private static func configuration(
    addresses: SnapshotFile?, routes ipv4File: SnapshotFile?, routes6 ipv6File: SnapshotFile?,
    _ sysctls: Sysctls, notes: inout [String]
  ) throws(HostSnapshotError) -> HostConfiguration {
    var interfaces: [HostInterface] = []
    if let addresses { interfaces = try AddressesFile.parse(addresses) }
    var routes = RoutesFile(interfaces: interfaces)
    if let ipv4File { try routes.readIPv4(ipv4File, takingIPv6: ipv6File == nil) }
    if let ipv6File { try routes.readIPv6(ipv6File) }
    notes += routes.notes
    return HostConfiguration(
      interfaces: routes.interfaces, ipv4Routes: routes.ipv4, ipv6Routes: routes.ipv6,
      sysctls: sysctls)
  }

  private static func text(
    _ name: String, _ folder: String
  ) throws(HostSnapshotError) -> SnapshotText? {
    try SnapshotFile.read(name, in: folder).map { SnapshotText(path: $0.path, text: $0.text) }
  }
}
