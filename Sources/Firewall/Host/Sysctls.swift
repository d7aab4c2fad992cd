// Kernel settings by name, as `sysctl -a` prints them and `--set` gives them: names normalised, values
// of known names checked, with typed getters for whoever uses them.

/// A sysctl's value that its kernel would refuse, in words.
public struct SysctlError: Error, Hashable, Sendable, CustomStringConvertible {
  public var name: String
  public var value: String
  /// What would have been taken.
  public var expected: String

  public var description: String {
    "`\(name)` cannot be `\(value)`; expected \(expected)"
  }
}

/// A set of sysctls. What is not in it has the kernel's default, which the getters' callers give.
///
/// Names are kept as `sysctl -a` prints them: parts joined by dots, and a dot within a part (as in
/// the interface `eth0.100`) written as a slash.
public struct Sysctls: Hashable, Sendable {
  /// Values by normalised name.
  public private(set) var values: [String: String] = [:]

  public init() {}

  /// The name with its parts joined by dots, whichever way it was written: `net/ipv4/ip_forward`
  /// and `net.ipv4.ip_forward` are the same. The first separator decides (sysctl(8)).
  public static func normalised(_ name: String) -> String {
    guard let first = name.first(where: { $0 == "." || $0 == "/" }), first == "/" else {
      return name
    }
    return String(name.map { $0 == "/" ? "." : $0 == "." ? "/" : $0 })
  }

  /// Takes one line of a machine's state. Names Weir does not know are kept, and mean nothing.
  public mutating func record(_ name: String, _ value: String) throws(SysctlError) {
    let name = Sysctls.normalised(name)
    let value = Sysctls.trimmed(value)
    try SysctlRule.check(name, value)
    values[name] = value
  }

  /// Sets one value as writing it to the running kernel would: `net.ipv4.ip_forward` and the
  /// `forwarding` of `conf.all` reach every interface.
  public mutating func set(_ name: String, _ value: String) throws(SysctlError) {
    try record(name, value)
    let name = Sysctls.normalised(name)
    let family: String
    switch name {
    case "net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding": family = "ipv4"
    case "net.ipv6.conf.all.forwarding": family = "ipv6"
    default: return
    }
    let prefix = "net.\(family).conf."
    values = values.filter { !($0.key.hasPrefix(prefix) && $0.key.hasSuffix(".forwarding")) }
    values["\(prefix)all.forwarding"] = Sysctls.trimmed(value)
    if family == "ipv4" { values["net.ipv4.ip_forward"] = Sysctls.trimmed(value) }
  }

  /// The value as text, or nil where none was given.
  public func text(_ name: String) -> String? { values[name] }

  /// The value as a number, or nil where none was given.
  public func integer(_ name: String) -> Int? { values[name].flatMap { Int($0) } }

  /// The value as a number, or `fallback` where none was given.
  public func integer(_ name: String, default fallback: Int) -> Int { integer(name) ?? fallback }

  /// Whether the value is not 0, or `fallback` where none was given.
  public func flag(_ name: String, default fallback: Bool) -> Bool {
    integer(name).map { $0 != 0 } ?? fallback
  }

  /// A value in seconds as nanoseconds, or nil where none was given.
  public func secondsAsNanoseconds(_ name: String) -> Int64? {
    integer(name).map { Int64($0) * 1_000_000_000 }
  }

  /// A setting of one interface: its own, or `conf.default`'s where its own is not given.
  public func interfaceInteger(_ family: String, _ interface: String, _ setting: String) -> Int? {
    let part = String(interface.map { $0 == "." ? "/" : $0 })
    return integer("net.\(family).conf.\(part).\(setting)")
      ?? integer("net.\(family).conf.default.\(setting)")
  }

  /// The same setting of `conf.all`.
  public func allInteger(_ family: String, _ setting: String) -> Int? {
    integer("net.\(family).conf.all.\(setting)")
  }

  private static func trimmed(_ text: String) -> String {
    let blank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\r" }
    let front = text.drop(while: blank)
    guard let last = front.lastIndex(where: { !blank($0) }) else { return "" }
    return String(front[...last])
  }
}
