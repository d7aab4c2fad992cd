// What holds for the kernel's table beside its entries: settings from /proc/sys, and rules as whoever opened
// the table reads them. For `weir doctor --kernel` and `weir top --kernel`.

import Conntrack
import Glibc
import TableControl

/// What is known of the kernel's rules.
public struct KernelRuleFacts: Hashable, Sendable {
  /// Where they translate to; nil where that is not known.
  public var translations: [TranslationRule]?
  /// What they dropped.
  public var drops: [DropCount]

  public init(translations: [TranslationRule]? = nil, drops: [DropCount] = []) {
    self.translations = translations
    self.drops = drops
  }
}

extension KernelTable {
  /// What `sysctl net.netfilter` says in this network namespace, and what `ruleSource` knows.
  public mutating func surroundings() -> TableSurroundings {
    readRules()
    var settings = ConntrackSettings()
    var isKnown = false
    for entry in ConntrackSettings.entries {
      let path = "/proc/sys/" + entry.name.replacing(".", with: "/")
      // What another kernel has not stays as it is by default.
      guard let text = KernelTable.line(of: path), (try? settings.set(entry.name, to: text)) != nil
      else { continue }
      isKnown = true
    }
    return TableSurroundings(
      settings: isKnown ? settings : nil, rules: ruleFacts.translations)
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
  /// What the rules had dropped when the surroundings were last asked for. Which rule let a connection begin
  /// the kernel does not say.
  public func activity() -> TableActivity { TableActivity(drops: ruleFacts.drops) }
}
