// The running kernel's answers in `kernel.*.txt`: rulesets, packets, and the counters after each.
// How they were made, and their form: `Recorded/record_kernel.py`.

import Conntrack
import Ruleset
import Wire

/// One block of a recording.
struct KernelBlock {
  var family: AddressFamily
  var dialect: RuleDialect
  /// Counters add up from packet to packet.
  var isCumulative: Bool
  var rules = ""
  var packets: [Packet] = []

  struct Packet {
    var fields: [String: String] = [:]
    /// Of each rule, then of the policy.
    var counters: [RuleCounters] = []
  }

  static func read(_ text: String) -> [KernelBlock] {
    var blocks: [KernelBlock] = []
    var isInRules = false
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      switch words.first {
      case ">>>": isInRules = false
      case _ where isInRules: blocks[blocks.count - 1].rules += line + "\n"
      case "<<<": isInRules = true
      case "block":
        blocks.append(
          KernelBlock(
            family: words[2] == "4" ? .ipv4 : .ipv6,
            dialect: words[1] == "legacy" ? .legacy : .nftables,
            isCumulative: words[3] == "cumulative"))
      case "packet":
        var packet = Packet()
        for word in words.dropFirst() {
          let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
          packet.fields[String(parts[0])] = String(parts[1])
        }
        blocks[blocks.count - 1].packets.append(packet)
      case "counters":
        let last = blocks.count - 1
        let packet = blocks[last].packets.count - 1
        let length = UInt64(blocks[last].packets[packet].fields["length"] ?? "") ?? 0
        blocks[last].packets[packet].counters = counters(words[1...].joined(), length)
      default: break
      }
    }
    return blocks
  }

  /// `.` is nothing, `=` one packet of the length, others stand in brackets.
  private static func counters(_ text: String, _ length: UInt64) -> [RuleCounters] {
    var counters: [RuleCounters] = []
    var rest = text[...]
    while let first = rest.popFirst() {
      switch first {
      case ".": counters.append(RuleCounters())
      case "=": counters.append(RuleCounters(packets: 1, bytes: length))
      default:
        let end = rest.firstIndex(of: ")") ?? rest.endIndex
        let numbers = rest[..<end].split(separator: ":").compactMap { UInt64($0) }
        counters.append(RuleCounters(packets: numbers[0], bytes: numbers[1]))
        rest = rest[end...].dropFirst()
      }
    }
    return counters
  }
}

extension KernelBlock.Packet {
  private func number(_ key: String) -> Int { Int(fields[key] ?? "") ?? 0 }

  var now: Int64 { Int64(number("now")) }

  private func address(_ key: String) -> IPAddress {
    IPAddress.parse(fields[key] ?? "")?.address ?? .any
  }

  /// The packet as the rules see it.
  func context(_ family: AddressFamily, _ interface: InterfaceID) -> MatchContext {
    var context = MatchContext(
      source: address("src"), destination: address("dst"), family: family,
      protocolNumber: UInt8(number("proto")), inInterface: interface, outInterface: .none,
      length: UInt32(number("length")))
    context.fragmentOffset = UInt16(number("frag"))
    context.timeToLive = UInt8(number("ttl"))
    context.transportAvailable = UInt32(number("avail"))
    context.sourcePort = UInt16(number("sport"))
    context.destinationPort = UInt16(number("dport"))
    context.tcpFlags = UInt8(number("flags"))
    context.icmpType = UInt8(number("type"))
    context.icmpCode = UInt8(number("code"))
    context.connectionMark = UInt32(number("ctmark"))
    context.ctStatus = ConnectionStatus(rawValue: UInt32(number("status")))
    context.ctDirection = number("reply") == 1 ? .reply : .original
    context.ctTimeoutSeconds = UInt32(number("timeout"))
    context.ctState = ConnectionState.allCases.first { $0.name == fields["state"] }
    context.hasConnection =
      context.ctState != nil && context.ctState != .invalid && context.ctState != .untracked
    if let tuple = tuple("orig", family) { context.originalTuple = tuple }
    if let tuple = tuple("repl", family) { context.replyTuple = tuple }
    if let hex = fields["tp"] {
      // The span is of the array's own bytes, and ends with this statement.
      unsafe context.readTCPOptions(bytes(hex).span.bytes)
    }
    return context
  }

  private func tuple(_ key: String, _ family: AddressFamily) -> Tuple? {
    guard let parts = fields[key]?.split(separator: ",") else { return nil }
    return Tuple(
      source: IPAddress.parse(parts[0])?.address ?? .any,
      destination: IPAddress.parse(parts[1])?.address ?? .any,
      sourcePort: UInt16(parts[2]) ?? 0, destinationPort: UInt16(parts[3]) ?? 0,
      protocolNumber: UInt8(fields["ctproto"] ?? fields["proto"] ?? "") ?? 0, family: family)
  }

  private func bytes(_ hex: String) -> [UInt8] {
    let digits = Array(hex)
    return stride(from: 0, to: digits.count - 1, by: 2).map { index in
      UInt8(String(digits[index...index + 1]), radix: 16) ?? 0
    }
  }
}
