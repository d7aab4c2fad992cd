// What a gateway tells `weir doctor` of its settings and its NAT rules, over the control socket.

import Conntrack
import Wire

extension ByteWriter {
  /// Settings by name, then rules; both may be unknown.
  public mutating func put(_ surroundings: TableSurroundings) {
    put(surroundings.settings) { writer, settings in
      writer.put(UInt16(ConntrackSettings.entries.count))
      for entry in ConntrackSettings.entries {
        writer.put(entry.name)
        writer.put(settings[keyPath: entry.path])
      }
    }
    put(surroundings.rules) { writer, rules in
      writer.put(UInt32(rules.count))
      for rule in rules {
        writer.put(UInt8(truncatingIfNeeded: rule.family.rawValue))
        writer.put(rule.isSource)
        writer.put(rule.addresses) { writer, addresses in
          writer.put(addresses.lowerBound)
          writer.put(addresses.upperBound)
        }
        writer.put(rule.ports) { writer, ports in
          writer.put(ports.lowerBound)
          writer.put(ports.upperBound)
        }
      }
    }
  }
}

extension ByteReader {
  /// Settings of a name this side does not know are passed over.
  public mutating func surroundings() throws(DecodingFailure) -> TableSurroundings {
    let settings = try optional { (reader) throws(DecodingFailure) in
      var settings = ConntrackSettings()
      let count: UInt16 = try reader.number()
      for _ in 0..<count {
        let name = try reader.text()
        let value: Int64 = try reader.number()
        guard let entry = ConntrackSettings.entries.first(where: { $0.name == name }) else {
          continue
        }
        guard value >= 0 else { throw DecodingFailure("a setting below zero") }
        settings[keyPath: entry.path] = value
      }
      return settings
    }
    let rules = try optional { (reader) throws(DecodingFailure) in
      var rules: [TranslationRule] = []
      let count: UInt32 = try reader.number()
      for _ in 0..<count { rules.append(try reader.translationRule()) }
      return rules
    }
    return TableSurroundings(settings: settings, rules: rules)
  }

  private mutating func translationRule() throws(DecodingFailure) -> TranslationRule {
    var rule = TranslationRule(try addressFamily(), isSource: try flag())
    rule.addresses = try optional { (reader) throws(DecodingFailure) in
      try ByteReader.range(try reader.address(), try reader.address())
    }
    rule.ports = try optional { (reader) throws(DecodingFailure) in
      try ByteReader.range(try reader.number(), try reader.number())
    }
    return rule
  }

  private static func range<Bound: Comparable>(
    _ low: Bound, _ high: Bound
  ) throws(DecodingFailure) -> ClosedRange<Bound> {
    guard low <= high else { throw DecodingFailure("a range that ends before it begins") }
    return low...high
  }
}
