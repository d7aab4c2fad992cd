// Lays the two answers to one packet side by side: what came out where, ctstate, and the tables.

import Conntrack
import ConntrackFormat
import Wire

/// In what the two sides differ.
enum DifferenceKind: String, Comparable {
  case sent, ctstate, output, events, table, details, counters, statistics

  static func < (a: DifferenceKind, b: DifferenceKind) -> Bool { a.rawValue < b.rawValue }
}

/// What is wrong, for a reader.
struct Finding {
  var kind: DifferenceKind
  var lines: [String]
}

struct Comparison {
  var renaming: Renaming
  let translates: Bool
  private var events = EventComparison()

  init(_ test: ConformanceCase) {
    renaming = Renaming(test)
    translates = test.translates
  }

  // MARK: Answers

  /// - Parameter sent: what each side was sent, the kernel's first.
  mutating func findings(
    kernel: Answer, engine: Answer, sent: (kernel: [UInt8], engine: [UInt8])
  ) -> [Finding] {
    var findings: [Finding] = []
    if kernel.ctState != engine.ctState {
      findings.append(
        Finding(
          kind: .ctstate, lines: ["ctstate: kernel \(kernel.ctState), Weir \(engine.ctState)"]))
    }
    // Before anything else: a connection that ended gives its ports' names to the next.
    let told = events.lines(
      kernel: kernel.events, engine: engine.events, expired: engine.expired, &renaming)
    if !told.isEmpty { findings.append(Finding(kind: .events, lines: told)) }
    var numbers: Identifications = [:]
    let isSame =
      kernel.emissions.count == engine.emissions.count
      && (zip(kernel.emissions, engine.emissions).allSatisfy {
        isSameEmission($0, $1, sent, &numbers)
      }
        || translates
          && zip(kernel.emissions, renaming.withPiecesRewritten(engine.emissions)).allSatisfy {
            isSameEmission($0, $1, sent, &numbers)
          })
    if !isSame {
      var lines = ["output:"]
      for (who, emissions) in [("kernel", kernel.emissions), ("Weir  ", engine.emissions)] {
        if emissions.isEmpty { lines.append("  \(who) nothing") }
        for emission in emissions {
          lines.append("  \(who) \(emission.port.rawValue) \(PacketWords.line(emission.bytes))")
          lines.append("           \(hexText(emission.bytes))")
        }
      }
      findings.append(Finding(kind: .output, lines: lines))
    }
    return findings
  }

  private mutating func isSameEmission(
    _ kernel: Emission, _ engine: Emission, _ sent: (kernel: [UInt8], engine: [UInt8]),
    _ numbers: inout Identifications
  ) -> Bool {
    guard kernel.port == engine.port, kernel.bytes.count == engine.bytes.count else { return false }
    // What was sent differs where ports chosen earlier do, and in a mangled packet nothing shows which
    // bytes those are; but then each side must have let its own pass as it was.
    if sent.kernel != sent.engine
      && Comparison.isUnchanged(kernel.bytes, sent.kernel)
      && Comparison.isUnchanged(engine.bytes, sent.engine)
      && Comparison.hopLimit(kernel.bytes) == Comparison.hopLimit(engine.bytes)
    {
      return true
    }
    var bytes = Comparison.withIdentification(
      of: kernel.bytes, engine.bytes, sent: sent.engine, &numbers)
    bytes = Comparison.withTimes(of: kernel.bytes, bytes)
    if engine.isAnswer, bytes.count >= 20, bytes[0] >> 4 == 4 {
      // The kernel numbers its own packets by a counter that starts at random.
      let old = bytes.rawSpan.uint16(at: IPv4Field.identification)
      let new = kernel.bytes.rawSpan.uint16(at: IPv4Field.identification)
      bytes.store16(new, at: IPv4Field.identification)
      let checksum = bytes.rawSpan.uint16(at: IPv4Field.checksum)
      bytes.store16(
        InternetChecksum.updated(checksum, from: old, to: new), at: IPv4Field.checksum)
    }
    if bytes == kernel.bytes { return true }
    guard translates, let renamed = renaming.rewritten(bytes) else {
      return Comparison.isEqual(bytes, kernel.bytes)
    }
    return Comparison.isEqual(renamed, kernel.bytes)
  }

  private static func hopLimit(_ bytes: [UInt8]) -> UInt8 { bytes[bytes[0] >> 4 == 4 ? 8 : 7] }

  /// The same but for the hop limit and the checksum over it.
  private static func isUnchanged(_ out: [UInt8], _ sent: [UInt8]) -> Bool {
    guard out.count == sent.count else { return false }
    let free: [Int] = out[0] >> 4 == 4 ? [8, 10, 11] : [7]
    return out.indices.allSatisfy { out[$0] == sent[$0] || free.contains($0) }
  }

  /// Equal, where a 16-bit word of zeros equals one of ones: as checksums they say the same.
  private static func isEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    if a == b { return true }
    let different = a.indices.filter { a[$0] != b[$0] }
    guard different.count == 2, different[0] % 2 == 0, different[1] == different[0] + 1 else {
      return false
    }
    let words = [a, b].map { $0.rawSpan.uint16(at: different[0]) }
    return words.contains(0) && words.contains(0xffff)
  }

  // MARK: Tables

  /// What `conntrack -L` shows of an entry's status; more is inside.
  private static let shownStatus = ConnectionStatus(rawValue: .max)

  /// - Parameter kernel: the kernel's entry of the tuple of the same connection, if there is one.
  mutating func finding(kernel: Connection?, engine: Connection) -> Finding? {
    guard let kernel else {
      return Finding(
        kind: .table, lines: ["table: only Weir has", "  Weir   \(Comparison.line(engine))"])
    }
    var what: [String] = []
    if !Comparison.isSameStatus(kernel.status, engine.status) { what.append("status") }
    if kernel.protocolState != engine.protocolState { what.append("state") }
    if kernel.mark != engine.mark { what.append("mark") }
    if kernel.zone != engine.zone || kernel.zoneDirection != engine.zoneDirection {
      what.append("zone")
    }
    if kernel.helperName != engine.helperName { what.append("helper") }
    if !Comparison.isNear(kernel.startNanoseconds, engine.startNanoseconds) {
      what.append("start")
    }
    let seconds = [kernel, engine].map { $0.timeoutNanoseconds / 1_000_000_000 }
    if abs(seconds[0] - seconds[1]) > 1 { what.append("timeout") }
    if !renaming.isSame(kernel: kernel.original, engine: engine.original) {
      what.append("original tuple")
    }
    if !renaming.isSame(kernel: kernel.reply, engine: engine.reply) { what.append("reply tuple") }
    if kernel.originalCounters != engine.originalCounters
      || kernel.replyCounters != engine.replyCounters
    {
      what.append("counters")
    }
    if what.isEmpty { return nil }
    return Finding(
      kind: .table,
      lines: [
        "table: \(what.joined(separator: ", "))", "  kernel \(Comparison.line(kernel))",
        "  Weir   \(Comparison.line(engine))",
      ])
  }

  static func isSameStatus(_ kernel: ConnectionStatus, _ engine: ConnectionStatus) -> Bool {
    kernel.intersection(shownStatus) == engine.intersection(shownStatus)
  }

  /// Both or neither, and less than a second apart.
  static func isNear(_ a: Int64?, _ b: Int64?) -> Bool {
    guard let a, let b else { return a == nil && b == nil }
    return abs(a - b) < 1_000_000_000
  }

  static func line(_ connection: Connection) -> String {
    var output = ConntrackOutput()
    output.extended = true
    return ConnectionWriter(output).line(connection)
  }
}
