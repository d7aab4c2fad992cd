// A case: settings, rules, flows, and the packets to send, as plain data. What it becomes on the wire
// depends on what each side did before, so packets are described, not spelt out.

import Conntrack
import Wire

/// What is sent between whom. An ICMP flow's source port is the echo's identifier; a `raw` flow, of
/// any other protocol, has no ports.
struct Flow: Hashable {
  enum Kind: String { case tcp, udp, echo, lite, sctp, raw }

  var kind: Kind
  /// Where it starts.
  var port: Port
  var source: Endpoint
  var destination: Endpoint
  /// A place in the case's flows: this one goes where that one's bytes announced, as they arrived. The
  /// destination is where it goes while nothing has.
  var announcedBy: Int?
}

struct Step: Hashable {
  enum Kind: Hashable {
    case tcp(TCPStep)
    case udp(UDPStep)
    case echo(EchoStep)
    case error(ErrorStep)
    case lite(UDPLiteStep)
    case sctp(SCTPStep)
    case message(MessageStep)
    case raw(RawStep)
    /// Milliseconds in which nothing happens.
    case wait(Int)
    /// Arguments of `ip` that change the router: `addr del 198.51.100.1/24 dev wan0`.
    case change(String)
  }

  var kind: Kind
  /// A place in the case's flows.
  var flow = 0
  /// Of the flow. A reply is what the other end would answer to what it got.
  var direction = Direction.original
  /// Nil: 64.
  var hopLimit: UInt8?
  /// How many bytes are left of the packet behind its IP header; nil: all. The IP header says so too.
  var kept: Int?
  /// Nothing but the usual, as a rule.
  var ip = IPLayer()
}

struct TCPStep: Hashable {
  var flags: TCPFlags = []
  var sequence: UInt32 = 0
  var acknowledgement: UInt32 = 0
  var window: UInt16 = 65_535
  /// The options' bytes.
  var options: [UInt8] = []
  var length = 0
  var hasBadChecksum = false
  /// In 32-bit words, where it shall not be the right one.
  var dataOffset: UInt8?
  /// What it carries, in place of `length` bytes of no meaning.
  var payload: [UInt8]?
}

struct UDPStep: Hashable {
  enum Checksum: String { case right, bad, absent }

  var length = 0
  var checksum = Checksum.right
  /// What the length field says, where that is not the truth.
  var lengthField: UInt16?
  /// What it carries, in place of `length` bytes of no meaning.
  var payload: [UInt8]?
}

struct EchoStep: Hashable {
  var sequence: UInt16 = 1
  var length = 0
  var hasBadChecksum = false
  /// A reply in the original direction, a request in the other.
  var isSwapped = false
}

/// An error about the flow's last packet in the step's direction, sent where that packet arrived.
struct ErrorStep: Hashable {
  var type: UInt8 = 3
  var code: UInt8 = 0
  var rest: UInt32 = 0
  /// How much of the packet is quoted; nil: all that is usual.
  var quoted: Int?
  /// A byte of the quote that is changed, and how.
  var flippedOffset: Int?
  var flippedBits: UInt8 = 0
  /// Who sends it; nil: the packet's destination.
  var source: IPAddress?
  /// To whom; nil: the packet's source.
  var destination: IPAddress?
  /// It quotes not the packet, but an error of the same type about the packet; so it goes the packet's way.
  var isNested = false
  var hasBadChecksum = false
}

struct ConformanceCase: Hashable {
  struct Sysctl: Hashable {
    var name: String
    var value: String
  }

  var name = ""
  var family = AddressFamily.ipv4
  /// Lines for `ip -batch` that make this case's router another than the usual one, which is built
  /// anew for them. The word `fresh` alone: built for this case only.
  var setup: [String] = []
  var sysctls: [Sysctl] = []
  /// `-t nat -A POSTROUTING -j MASQUERADE`. A line `-t nat` alone makes the table; with a line
  /// `-t nat :INPUT ACCEPT [0:0]` it has no other of the kernel's chains than those named so.
  var rules: [String] = []
  var flows: [Flow] = []
  var steps: [Step] = []

  /// Those settings that are the machine's, not conntrack's, as text.
  var hostSettings: [String] {
    sysctls.filter { !$0.name.hasPrefix("net.netfilter.") }.map { "\($0.name)=\($0.value)" }
  }

  /// The router the case runs on: one of its own where it is changed under way.
  var router: [String] {
    let changes = steps.contains { if case .change = $0.kind { true } else { false } }
    return changes && !setup.contains("fresh") ? setup + ["fresh"] : setup
  }

  /// Whether some table lacks some of its usual chains.
  var hasPartialTables: Bool { rules.contains { $0.contains(" :") && $0.contains(" ACCEPT [") } }

  var translates: Bool { rules.contains { $0.hasPrefix("-t nat") } }
  /// Whether the table may get full.
  var hasLimit: Bool { sysctls.contains { $0.name == "net.netfilter.nf_conntrack_max" } }
  var hasHelpers: Bool { rules.contains { $0.contains("-j CT --helper") } }

  /// What iptables-restore reads; empty without rules.
  var rulesText: String {
    let chains = [
      "raw": ["PREROUTING", "OUTPUT"],
      "mangle": ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
      "nat": ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
      "filter": ["INPUT", "FORWARD", "OUTPUT"], "security": ["INPUT", "FORWARD", "OUTPUT"],
    ]
    var text = ""
    for table in ["raw", "mangle", "nat", "filter", "security"] {
      let mine = rules.filter { $0.hasPrefix("-t \(table)") }.map { $0.dropFirst(4 + table.count) }
      if mine.isEmpty { continue }
      text += "*\(table)\n"
      let declared = mine.filter { $0.hasPrefix(":") }
      let builtIn = chains[table] ?? []
      if !declared.contains(where: { line in builtIn.contains { line.hasPrefix(":\($0) ") } }) {
        for chain in builtIn { text += ":\(chain) ACCEPT [0:0]\n" }
      }
      for line in declared { text += "\(line)\n" }
      for rule in mine where rule.contains("-A") { text += "\(rule)\n" }
      text += "COMMIT\n"
    }
    return text
  }
}
