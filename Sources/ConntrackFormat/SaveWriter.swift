// An entry as `conntrack -L -o save` prints it: the command line that would make it again. For
// `weir conntrack -L -o save` and carrying entries from one machine to another.

import Conntrack
import Wire

/// Prints connections as arguments of `conntrack`, which `conntrack -R` reads, without a line feed
/// at the end.
///
/// As in 1.4.7, mark, helper, labels and counters are not part of it.
public struct SaveWriter: Sendable {
  public init() {}

  /// Appends one line of `conntrack -L -o save`.
  public func append(_ connection: Connection, to buffer: inout [UInt8]) {
    buffer.append("-A -t ", number: connection.secondsLeft)
    append(connection.status, to: &buffer)
    if connection.zone != 0 {
      switch connection.zoneDirection {
      case .both: buffer.append("-w ", number: UInt64(connection.zone))
      case .original: buffer.append("--orig-zone ", number: UInt64(connection.zone))
      case .reply: buffer.append("--reply-zone ", number: UInt64(connection.zone))
      }
    }
    append(addressesOf: connection, to: &buffer)
    append(protocolOf: connection, to: &buffer)
    if let state = connection.protocolState.name { buffer.append("--state ", word: state) }
    if let tag = connection.originalTag { buffer.append("--orig-vtag ", number: UInt64(tag)) }
    if let tag = connection.replyTag { buffer.append("--reply-vtag ", number: UInt64(tag)) }
    buffer.removeLast()  // Every part ends in a space.
  }

  /// The line as a String.
  public func line(_ connection: Connection) -> String {
    var buffer: [UInt8] = []
    append(connection, to: &buffer)
    return String(decoding: buffer, as: UTF8.self)
  }

  private func append(_ status: ConnectionStatus, to buffer: inout [UInt8]) {
    buffer.append("-u ")
    let words: [(ConnectionStatus, String)] = [
      (.expected, "EXPECTED"), (.seenReply, "SEEN_REPLY"), (.assured, "ASSURED"),
      (.fixedTimeout, "FIXED_TIMEOUT"), (.offload, "OFFLOAD"), (.hardwareOffload, "HW_OFFLOAD"),
    ]
    var separator = ""
    for (bit, word) in words where status.contains(bit) {
      buffer.append(separator)
      buffer.append(word)
      separator = ","
    }
    if separator.isEmpty { buffer.append("UNSET") }
    buffer.append(UInt8(ascii: " "))
  }

  private func append(addressesOf connection: Connection, to buffer: inout [UInt8]) {
    let (original, reply, status) = (connection.original, connection.reply, connection.status)
    let destinationChanged =
      status.contains(.destinationNATDone) && reply.source != original.destination
    let sourceChanged =
      status.contains(.sourceNATDone) && reply.destination != original.source
    let addresses = [
      ("-s ", original.source), ("-d ", original.destination),
      (destinationChanged ? "-g " : "-r ", reply.source),
      (sourceChanged ? "-n " : "-q ", reply.destination),
    ]
    for (option, address) in addresses {
      buffer.append(option)
      address.appendText(original.family, to: &buffer)
      buffer.append(UInt8(ascii: " "))
    }
  }

  private func append(protocolOf connection: Connection, to buffer: inout [UInt8]) {
    let (original, reply) = (connection.original, connection.reply)
    let number = original.protocolNumber
    let known = knownProtocols.first { $0.number == number }
    buffer.append("-p ", word: known?.name ?? "\(number)")
    switch tupleKind(number) {
    case .ports:
      // Today's kernel follows DCCP without its ports.
      if number == 33, connection.protocolState == .none { break }
      buffer.append("--sport ", number: UInt64(original.sourcePort))
      buffer.append("--dport ", number: UInt64(original.destinationPort))
      buffer.append("--reply-port-src ", number: UInt64(reply.sourcePort))
      buffer.append("--reply-port-dst ", number: UInt64(reply.destinationPort))
    case .icmp:
      let option = number == 1 ? "--icmp" : "--icmpv6"
      buffer.append("\(option)-type ", number: UInt64(original.destinationPort >> 8))
      buffer.append("\(option)-code ", number: UInt64(original.destinationPort & 0xff))
      buffer.append("\(option)-id ", number: UInt64(original.sourcePort))
    case .keys:
      buffer.append("--srckey ", number: UInt64(original.sourcePort))
      buffer.append("--dstkey ", number: UInt64(original.destinationPort))
      buffer.append("--reply-key-src ", number: UInt64(reply.sourcePort))
      buffer.append("--reply-key-dst ", number: UInt64(reply.destinationPort))
    case .nothing: break
    }
  }
}
