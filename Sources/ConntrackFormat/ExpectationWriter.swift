// An expectation or its event as `conntrack -L expect`, `conntrack -E expect` and
// `/proc/net/nf_conntrack_expect` print it. For `weir conntrack`.

import Conntrack
import Wire

/// Prints expectations and their events in `conntrack`'s own form, without a line feed at the end.
///
/// As in 1.4.7: of `-o` only `timestamp` and `xml` make a difference, and no zone is shown.
public struct ExpectationWriter: Sendable {
  public var output: ConntrackOutput

  public init(_ output: ConntrackOutput = ConntrackOutput()) {
    self.output = output
  }

  /// What comes before the first element of `-o xml`.
  public static let prologue = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<expect>"
  /// What comes after the last.
  public static let epilogue = "</expect>"

  /// Appends one line of `conntrack -L expect`.
  public func append(_ expectation: Expectation, to buffer: inout [UInt8]) {
    if output.timestamp { buffer.append(receivedAt: output.nowNanoseconds) }
    append(bare: expectation, to: &buffer)
  }

  /// Appends one line of `conntrack -E expect`.
  public func append(_ event: ExpectationEvent, to buffer: inout [UInt8]) {
    if output.timestamp { buffer.append(receivedAt: event.timeNanoseconds) }
    switch event.kind {
    case .new: buffer.append("    [NEW] ")
    case .destroy: buffer.append("[DESTROY] ")
    }
    append(bare: event.expectation, to: &buffer)
  }

  private func append(bare expectation: Expectation, to buffer: inout [UInt8]) {
    buffer.append(decimal: expectation.secondsLeft)
    buffer.append(" proto=")
    buffer.append(decimal: UInt64(expectation.tuple.protocolNumber))
    buffer.append(UInt8(ascii: " "))
    buffer.append(expectation.tuple, unabridged: false)
    buffer.append("mask-")
    append(expectation.mask, "mask-dst=", to: &buffer)
    buffer.append("master-")
    append(expectation.master, "master-dst=", to: &buffer)
    for (flag, word) in [
      (ExpectationFlags.permanent, "PERMANENT"), (.inactive, "INACTIVE"),
      (.userspace, "USERSPACE"),
    ] where expectation.flags.contains(flag) {
      buffer.append(word)
      buffer.append(UInt8(ascii: " "))
    }
    buffer.append("class=", number: UInt64(expectation.classNumber))
    buffer.append("helper=")
    buffer.append(expectation.helperName)
  }

  /// `src=… mask-dst=… sport=… dport=… `, after the `mask-` or `master-` that is there already.
  private func append(_ tuple: Tuple, _ destination: String, to buffer: inout [UInt8]) {
    buffer.append("src=")
    tuple.source.appendText(tuple.family, to: &buffer)
    buffer.append(UInt8(ascii: " "))
    buffer.append(destination)
    tuple.destination.appendText(tuple.family, to: &buffer)
    buffer.append(UInt8(ascii: " "))
    buffer.append(endsOf: tuple)
  }

  /// The line of `conntrack -L expect` as a String.
  public func line(_ expectation: Expectation) -> String {
    var buffer: [UInt8] = []
    append(expectation, to: &buffer)
    return String(decoding: buffer, as: UTF8.self)
  }

  /// The line of `conntrack -E expect` as a String.
  public func line(_ event: ExpectationEvent) -> String {
    var buffer: [UInt8] = []
    append(event, to: &buffer)
    return String(decoding: buffer, as: UTF8.self)
  }

  // MARK: XML

  /// Appends one element of `conntrack -L expect -o xml`.
  public func append(xml expectation: Expectation, to buffer: inout [UInt8]) {
    buffer.append("<flow>")
    append(inner: expectation, at: output.nowNanoseconds, to: &buffer)
  }

  /// Appends one element of `conntrack -E expect -o xml`.
  public func append(xml event: ExpectationEvent, to buffer: inout [UInt8]) {
    buffer.append(event.kind == .new ? "<flow type=\"new\">" : "<flow type=\"destroy\">")
    append(inner: event.expectation, at: event.timeNanoseconds, to: &buffer)
  }

  private func append(inner expectation: Expectation, at time: Int64, to buffer: inout [UInt8]) {
    let tuple = expectation.tuple
    let tuples = [
      ("expected", tuple), ("mask", expectation.mask), ("master", expectation.master),
    ]
    buffer.append("<layer3 protonum=\"")
    buffer.append(tuple.family == .ipv4 ? "2\" protoname=\"ipv4\">" : "10\" protoname=\"ipv6\">")
    for (name, tuple) in tuples {
      buffer.append("<\(name)>")
      buffer.append(xmlAddressesOf: tuple)
      buffer.append("</\(name)>")
    }
    let number = tuple.protocolNumber
    buffer.append(
      "</layer3><layer4 protonum=\"\(number)\" protoname=\"\(protocolName(number))\">")
    for (name, tuple) in tuples {
      buffer.append("<\(name)>")
      buffer.append(xmlEndsOf: tuple)
      buffer.append("</\(name)>")
    }
    buffer.append("</layer4><meta>")
    buffer.append(element: "helper-name", text: expectation.helperName)
    buffer.append(element: "timeout", number: expectation.secondsLeft)
    buffer.append(element: "class", number: UInt64(expectation.classNumber))
    if output.timestamp {
      buffer.append(xmlReceivedAt: time, secondsAheadOfUTC: output.secondsAheadOfUTC)
    }
    buffer.append("</meta></flow>")
  }

  // MARK: /proc

  /// Appends one line of `/proc/net/nf_conntrack_expect`.
  public func append(proc expectation: Expectation, to buffer: inout [UInt8]) {
    buffer.append(decimal: expectation.secondsLeft)
    buffer.append(" l3proto = ")
    buffer.append(decimal: UInt64(expectation.tuple.family.rawValue))
    buffer.append(" proto=")
    buffer.append(decimal: UInt64(expectation.tuple.protocolNumber))
    buffer.append(UInt8(ascii: " "))
    buffer.append(expectation.tuple, unabridged: true)
    buffer.append(expectation.helperName)
  }
}

extension Expectation {
  /// The time left in whole seconds, rounded down.
  var secondsLeft: UInt64 { UInt64(max(0, timeoutNanoseconds)) / 1_000_000_000 }

  /// The masks in the form of a tuple, as conntrack shows them.
  var mask: Tuple {
    Tuple(
      source: sourceMask,
      destination: tuple.family == .ipv4
        ? IPAddress(ipv4: .max) : IPAddress(high: .max, low: .max),
      sourcePort: sourcePortMask, destinationPort: .max, protocolNumber: tuple.protocolNumber,
      family: tuple.family)
  }
}
