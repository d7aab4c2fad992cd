// The names of connection labels, as the machine's connlabel.conf gives them. For `-o labels`, `-l`
// and reading lines that carry labels.

import Conntrack

/// Which name each of the 128 labels has (`connlabel` in iptables-extensions(8)).
public struct LabelNames: Hashable, Sendable {
  private var names: [UInt8: String] = [:]
  private var bits: [String: UInt8] = [:]

  public init() {}

  /// Reads a `connlabel.conf`: a line each, label number and name; `#` begins a comment. As with
  /// the system's reader, lines of another form and numbers above 127 say nothing, and of two names
  /// for one number the first counts.
  public init(configuration: String) {
    for line in configuration.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
      let words = line.split(whereSeparator: \.isWhitespace)
      guard words.count >= 2, let bit = UInt8(words[0]), bit < 128 else { continue }
      self[bit] = String(words[1])
    }
  }

  /// The name of label `bit`. The first name a label is given stays.
  public subscript(bit: UInt8) -> String? {
    get { names[bit] }
    set {
      guard let newValue, names[bit] == nil else { return }
      names[bit] = newValue
      bits[newValue] = bit
    }
  }

  /// The label called `name`.
  public func bit(named name: String) -> UInt8? { bits[name] }

  /// `labels=a,b `, in the order of their numbers; labels without a name are left out, and where
  /// none is left `conntrack` prints the bare word.
  func append(_ labels: ConnectionLabels, to buffer: inout [UInt8]) {
    buffer.append("labels")
    var separator = UInt8(ascii: "=")
    for bit in UInt8(0)..<128 where labels[bit] {
      guard let name = names[bit] else { continue }
      buffer.append(separator)
      buffer.append(name)
      separator = UInt8(ascii: ",")
    }
    buffer.append(UInt8(ascii: " "))
  }
}
