// An entry as the kernel prints it in /proc/net/nf_conntrack. For `weir conntrack --procfs`.

import Conntrack
import Wire

/// Prints connections in the form of `/proc/net/nf_conntrack` of a 6.x kernel, without a line feed
/// at the end.
///
/// Beside the layout of `conntrack -L -o extended` it has IPv6 addresses in full, `zone=0`, two
/// users (the table and the reader), GRE's timeouts, and DCCP as `unknown` with neither state nor
/// ports; helper, labels and id are not in it.
public struct ProcWriter: Sendable {
  /// Now, nanoseconds since 1970, for `delta-time=`.
  public var nowNanoseconds: Int64
  /// `nf_conntrack_gre_timeout` and `nf_conntrack_gre_timeout_stream`, in seconds.
  public var greTimeoutSeconds: (unreplied: UInt32, stream: UInt32) = (30, 180)

  public init(nowNanoseconds: Int64 = 0) {
    self.nowNanoseconds = nowNanoseconds
  }

  /// Appends one line of `/proc/net/nf_conntrack`.
  public func append(_ connection: Connection, to buffer: inout [UInt8]) {
    buffer.append(familyOf: connection)
    let number = connection.original.protocolNumber
    let known = number != 33
    buffer.append(protocolOf: connection, named: known ? protocolName(number) : "unknown")
    if connection.status.isDisjoint(with: [.offload, .hardwareOffload]) {
      buffer.append(decimal: connection.secondsLeft)
      buffer.append(UInt8(ascii: " "))
      append(stateOf: connection, to: &buffer)
    }
    append(connection.original, known: known, to: &buffer)
    buffer.append(zoneOf: connection, .original)
    buffer.append(connection.originalCounters)
    if !connection.status.contains(.seenReply) { buffer.append("[UNREPLIED] ") }
    append(connection.reply, known: known, to: &buffer)
    buffer.append(zoneOf: connection, .reply)
    buffer.append(connection.replyCounters)
    buffer.append(flagsOf: connection.status)
    buffer.append("mark=", number: UInt64(connection.mark))
    if let context = connection.securityContext { buffer.append("secctx=", word: context) }
    if connection.zoneDirection == .both || connection.zone == 0 {
      buffer.append("zone=", number: UInt64(connection.zone))
    }
    if let start = connection.startNanoseconds {
      // The kernel divides the difference, where conntrack subtracts whole seconds.
      let age = max(0, nowNanoseconds.subtractingClamped(start)) / 1_000_000_000
      buffer.append("delta-time=", number: UInt64(age))
    }
    buffer.append("use=")
    buffer.append(decimal: UInt64(connection.useCount) + 1)
  }

  /// The line as a String.
  public func line(_ connection: Connection) -> String {
    var buffer: [UInt8] = []
    append(connection, to: &buffer)
    return String(decoding: buffer, as: UTF8.self)
  }

  private func append(stateOf connection: Connection, to buffer: inout [UInt8]) {
    switch connection.protocolState {
    case .tcp(let state): buffer.append("", word: state.name)
    case .sctp(let state): buffer.append("", word: state.name)
    case .none, .dccp: break
    }
    if connection.original.protocolNumber == 47 {
      buffer.append("timeout=")
      buffer.append(decimal: UInt64(greTimeoutSeconds.unreplied))
      buffer.append(", stream_timeout=")
      buffer.append(decimal: UInt64(greTimeoutSeconds.stream))
      buffer.append(UInt8(ascii: " "))
    }
  }

  private func append(_ tuple: Tuple, known: Bool, to buffer: inout [UInt8]) {
    if known { return buffer.append(tuple, unabridged: true) }
    buffer.append("src=")
    buffer.append(unabridged: tuple.source, tuple.family)
    buffer.append(" dst=")
    buffer.append(unabridged: tuple.destination, tuple.family)
    buffer.append(UInt8(ascii: " "))
  }
}

extension Int64 {
  /// The difference, or the nearest value there is.
  func subtractingClamped(_ other: Int64) -> Int64 {
    let (difference, overflow) = subtractingReportingOverflow(other)
    return overflow ? (other > 0 ? .min : .max) : difference
  }
}
