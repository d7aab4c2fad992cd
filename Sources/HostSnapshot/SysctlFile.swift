// sysctl.conf: lines `name = value` as `sysctl -a` prints them, or as someone wrote them for
// sysctl.conf(5); and `--set NAME=VALUE`, which goes the same way.

import Firewall

enum SysctlFile {
  static func parse(_ file: SnapshotFile) throws(HostSnapshotError) -> Sysctls {
    var sysctls = Sysctls()
    for line in SnapshotLine.lines(of: file.text) {
      // Comments, and what `sysctl -a` complains of, if that went into the file too.
      if line.text.hasPrefix("#") || line.text.hasPrefix(";") { continue }
      if line.text.hasPrefix("sysctl: ") { continue }
      guard let (name, value) = assignment(line.text) else {
        throw HostSnapshotError(
          file: file.path, line: line.number,
          "`\(line.text.prefix(80))` is no setting; expected `name = value`, as `sysctl -a` prints")
      }
      do throws(SysctlError) {
        try sysctls.record(name, value)
      } catch {
        throw HostSnapshotError(file: file.path, line: line.number, error.description)
      }
    }
    return sysctls
  }

  /// Applies `--set NAME=VALUE` arguments, in order, as writes to a running kernel.
  static func apply(
    _ settings: [String], to sysctls: inout Sysctls
  ) throws(HostSnapshotError) {
    for setting in settings {
      guard let (name, value) = assignment(setting) else {
        throw HostSnapshotError(
          file: "--set", "`\(setting)` is no setting; expected NAME=VALUE")
      }
      do throws(SysctlError) {
        try sysctls.set(name, value)
      } catch {
        throw HostSnapshotError(file: "--set", error.description)
      }
    }
  }

  /// `name = value`; a `-` before the name (sysctl.d(5): failure does not matter) is dropped.
  private static func assignment(_ text: String) -> (name: String, value: String)? {
    guard let sign = text.firstIndex(of: "=") else { return nil }
    var name = text[..<sign]
    if name.first == "-" { name = name.dropFirst() }
    while name.last == " " || name.last == "\t" { name = name.dropLast() }
    while name.first == " " || name.first == "\t" { name = name.dropFirst() }
    guard !name.isEmpty else { return nil }
    return (String(name), String(text[text.index(after: sign)...]))
  }
}
