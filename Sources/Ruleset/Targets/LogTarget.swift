// `-j LOG`: a line in the kernel's log, then on with the next rule (iptables-extensions(8), LOG).

/// Logs and goes on.
public struct LogTarget: RuleTarget {
  public static let name = "LOG"
  public static let options = [
    OptionRule("--log-level"), OptionRule("--log-prefix"),
    OptionRule("--log-tcp-sequence", arguments: 0), OptionRule("--log-tcp-options", arguments: 0),
    OptionRule("--log-ip-options", arguments: 0), OptionRule("--log-uid", arguments: 0),
    OptionRule("--log-macdecode", arguments: 0),
  ]

  public var log = LogOptions()

  public init() {}

  private static let levels: [(name: String, level: UInt8)] = [
    ("emerg", 0), ("panic", 0), ("alert", 1), ("crit", 2), ("error", 3), ("warning", 4),
    ("notice", 5), ("info", 6), ("debug", 7),
  ]

  /// By level, as `iptables -L` spells them.
  private static let listNames = [
    "emerg", "alert", "crit", "err", "warn", "notice", "info", "debug",
  ]

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    switch use.name {
    case "--log-level":
      let word = use.argument
      if let number = Numbers.parse(word.text, limit: 7) {
        log.level = UInt8(number)
      } else if let named = Self.levels.first(where: { $0.name == word.text }) {
        log.level = named.level
      } else {
        throw word.problem("unknown log level `\(word.text)`", known: Self.levels.map(\.name))
      }
    case "--log-prefix":
      guard !use.argument.text.isEmpty else {
        throw use.argument.problem("a log prefix has at least 1 character")
      }
      log.prefix = LogOptions.prefix(use.argument.text)
    case "--log-tcp-sequence": log.showsTCPSequence = true
    case "--log-tcp-options": log.showsTCPOptions = true
    case "--log-ip-options": log.showsIPOptions = true
    case "--log-uid": log.showsUserID = true
    default: log.decodesMAC = true
    }
  }

  public func write(to text: inout RuleText) {
    if !log.prefix.isEmpty { text.add("--log-prefix", quoting: log.prefix) }
    if log.level != 4 { text.add("--log-level", "\(log.level)") }
    if log.showsTCPSequence { text.add("--log-tcp-sequence") }
    if log.showsTCPOptions { text.add("--log-tcp-options") }
    if log.showsIPOptions { text.add("--log-ip-options") }
    if log.showsUserID { text.add("--log-uid") }
    if log.decodesMAC { text.add("--log-macdecode") }
  }

  public func list(to text: inout ListText) {
    text.add("LOG")
    let flags = [
      (log.showsTCPSequence, 1, "tcp-sequence"), (log.showsTCPOptions, 2, "tcp-options"),
      (log.showsIPOptions, 4, "ip-options"), (log.showsUserID, 8, "uid"),
      (log.decodesMAC, 32, "macdecode"),
    ].filter(\.0)
    if text.isNumeric {
      text.add("flags \(flags.reduce(0) { $0 + $1.1 }) level \(log.level)")
    } else {
      text.add("level", Self.listNames[Int(log.level & 7)])
      for flag in flags { text.add(flag.2) }
    }
    if !log.prefix.isEmpty { text.add("prefix \"\(log.prefix)\"") }
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.set(RuleAction(.log, a: compiler.add(log)))
  }
}

extension LogOptions {
  /// The first 29 bytes, whole characters only: what the kernel keeps.
  static func prefix(_ text: String) -> String {
    var kept = ""
    for scalar in text.unicodeScalars {
      guard kept.utf8.count + UTF8.width(scalar) <= 29 else { break }
      kept.unicodeScalars.append(scalar)
    }
    return kept
  }
}
