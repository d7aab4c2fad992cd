// What `-m ttl` and `-m hl` share.

/// A time to live or hop limit: equal, other, less or greater.
public enum TimeToLiveCondition: Hashable, Sendable {
  case equal(UInt8)
  case other(UInt8)
  case less(UInt8)
  case greater(UInt8)

  static func options(_ name: String) -> [OptionRule] {
    let names = ["--\(name)-eq", "--\(name)-lt", "--\(name)-gt"]
    return names.map { option in
      OptionRule(
        option, aliases: option.hasSuffix("-eq") ? ["--\(name)"] : [],
        isInvertible: option.hasSuffix("-eq"), excludes: names.filter { $0 != option })
    }
  }

  init(_ use: OptionUse) throws(RulesetError) {
    let value = UInt8(try use.argument.number(upTo: 255))
    if use.name.hasSuffix("-lt") {
      self = .less(value)
    } else if use.name.hasSuffix("-gt") {
      self = .greater(value)
    } else {
      self = use.isInverted ? .other(value) : .equal(value)
    }
  }

  func write(_ name: String, to text: inout RuleText) {
    switch self {
    case .equal(let value): text.add("--\(name)-eq", "\(value)")
    case .other(let value): text.add("--\(name)-eq", "\(value)", isInverted: true)
    case .less(let value): text.add("--\(name)-lt", "\(value)")
    case .greater(let value): text.add("--\(name)-gt", "\(value)")
    }
  }

  func list(_ name: String, to text: inout ListText) {
    let comparison =
      switch self {
      case .equal(let value): "== \(value)"
      case .other(let value): "!= \(value)"
      case .less(let value): "< \(value)"
      case .greater(let value): "> \(value)"
      }
    text.add("\(name) match \(name) \(comparison)")
  }

  func compile(into compiler: inout RulesetCompiler) {
    switch self {
    case .equal(let value): compiler.add(.range(.timeToLive, UInt64(value), UInt64(value)))
    case .other(let value):
      compiler.add(.range(.timeToLive, UInt64(value), UInt64(value), isInverted: true))
    case .less(let value):
      // Not at least.
      compiler.add(.range(.timeToLive, UInt64(value), 255, isInverted: true))
    case .greater(let value):
      compiler.add(.range(.timeToLive, UInt64(value) + 1, 255))
    }
  }
}
