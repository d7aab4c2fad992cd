// The kernel's settings, from /proc/sys. For `weir doctor --kernel`.

import Conntrack
import Glibc
import TableControl

extension KernelTable {
  /// What `sysctl net.netfilter` says in this network namespace. The rules are not known: the kernel may have
  /// them from iptables, nftables or elsewhere.
  public func surroundings() -> TableSurroundings {
    var settings = ConntrackSettings()
    var isKnown = false
    for entry in ConntrackSettings.entries {
      let path = "/proc/sys/" + entry.name.replacing(".", with: "/")
      // What another kernel has not stays as it is by default.
      guard let text = KernelTable.line(of: path), (try? settings.set(entry.name, to: text)) != nil
      else { continue }
      isKnown = true
    }
    return TableSurroundings(settings: isKnown ? settings : nil)
  }

  private static func line(of path: String) -> String? {
    // Closed again below.
    guard let file = unsafe fopen(path, "r") else { return nil }
    defer { unsafe fclose(file) }
    var text = [CChar](repeating: 0, count: 64)
    guard unsafe fgets(&text, Int32(text.count), file) != nil else { return nil }
    let bytes = text.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension KernelTable {
  /// The kernel does not say which rule let a connection begin, nor why packets were dropped.
  public func activity() -> TableActivity { TableActivity() }
}
