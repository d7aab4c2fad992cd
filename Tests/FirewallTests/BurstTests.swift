// Bursts, plain packets and remembered ways are shortcuts: what comes out must be what comes out of one
// packet at a time, through every hook. Random conversations through random rules, split into bursts of
// random sizes.

import Conntrack
import ConntrackFormat
import PacketForge
import Ruleset
import TestLab
import Testing
import Wire

@testable import Firewall

/// Everything that leaves or is delivered, in order.
private struct Transcript: PacketSink {
  var lines: [String] = []
  var last: [UInt8]?
  var lastPort = InterfaceID.none

  mutating func emit(_ bytes: RawSpan, through interface: InterfaceID, isAnswer: Bool) {
    last = bytes.array
    lastPort = interface
    lines.append("\(interface.rawValue) \(isAnswer) \(hexText(bytes.array))")
  }

  mutating func deliver(_ bytes: RawSpan, from interface: InterfaceID, isAnswer: Bool) {
    lines.append("in \(interface.rawValue) \(isAnswer) \(hexText(bytes.array))")
  }
}

/// A packet of the script, and when it comes.
private struct Scripted {
  var bytes: [UInt8]
  var isLAN: Bool
  var time: Int64
}

/// Two ends of a conversation; the far one answers what reaches it.
private struct Talk {
  var isTCP: Bool
  var client: Endpoint
  var server: Endpoint
  var next: (client: UInt32, server: UInt32)
  /// How the client is seen on the other side.
  var seen: (source: Endpoint, destination: Endpoint)?
}

private struct Talker {
  var random: SeededGenerator
  let family: AddressFamily
  var talks: [Talk] = []
  var now: Int64 = 1_700_000_000_000_000_000
  var identification: UInt32 = 0

  init(seed: UInt64, family: AddressFamily) {
    random = SeededGenerator(seed: seed)
    self.family = family
    for number in 0..<6 {
      let inside = family == .ipv4 ? "10.0.1.\(2 + number % 3)" : "fd00:1::\(2 + number % 3)"
      let outside =
        family == .ipv4 ? "203.0.113.\(1 + number % 2)" : "2001:db8:f::\(1 + number % 2)"
      talks.append(
        Talk(
          isTCP: number % 3 != 2,
          client: Endpoint(Address(inside).value, family, port: UInt16(1000 + number / 3)),
          server: Endpoint(Address(outside).value, family, port: number % 2 == 0 ? 80 : 22),
          next: (UInt32.max - 300 &+ UInt32(number) &* 100, 5000)))
    }
  }

  mutating func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }
  mutating func oneIn(_ count: Int) -> Bool { below(count) == 0 }
  mutating func pick<Element>(_ choices: [Element]) -> Element { choices[below(choices.count)] }

  /// The next packet, which conversation it is of, and whether the client sends it.
  mutating func packet() -> (Scripted, talk: Int, isClient: Bool) {
    let number = below(talks.count)
    let talk = talks[number]
    let isClient = talk.seen == nil || oneIn(2)
    let source = isClient ? talk.client : talk.seen?.destination ?? talk.server
    let destination = isClient ? talk.server : talk.seen?.source ?? talk.client
    identification += 1
    now += oneIn(20) ? Int64(below(3_000_000_000)) : Int64(below(2_000_000))
    let ip = IPFields(hopLimit: oneIn(25) ? UInt8(below(3)) : 64, identification: identification)
    let length = pick([0, 0, 1, 7, 8, 40, 100, oneIn(10) ? 1470 : 3])
    let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 13) }
    var bytes =
      talk.isTCP
      ? segment(number, isClient, source, destination, payload, ip)
      : PacketBuilder.udp(
        from: source, to: destination, payload: payload, withChecksum: !oneIn(6), ip)
    if oneIn(30) { bytes[below(bytes.count)] ^= UInt8(1 << below(8)) }
    if oneIn(60) { bytes.removeLast(below(bytes.count)) }
    if oneIn(12) { bytes += [UInt8](repeating: 0, count: below(20)) }
    return (Scripted(bytes: bytes, isLAN: isClient != oneIn(50), time: now), number, isClient)
  }

  private mutating func segment(
    _ number: Int, _ isClient: Bool, _ source: Endpoint, _ destination: Endpoint,
    _ payload: [UInt8], _ ip: IPFields
  ) -> [UInt8] {
    let next = talks[number].next
    let isNew = talks[number].seen == nil
    var flags: TCPFlags = oneIn(3) ? [.psh, .ack] : .ack
    if isNew || oneIn(40) { flags = isClient ? .syn : [.syn, .ack] }
    if oneIn(50) {
      flags = pick([.fin, .rst, [.fin, .ack], [.rst, .ack], [], [.ack, .urg], .syn])
    }
    if oneIn(30) { flags.insert(.ece) }
    var sequence = isClient ? next.client : next.server
    var acknowledgement = isClient ? next.server : next.client
    if oneIn(12) { sequence &-= UInt32(pick([1, 10, 100, 70_000])) }
    if oneIn(12) { acknowledgement &-= UInt32(pick([1, 10, 70_000])) }
    if oneIn(25) { sequence &+= UInt32(pick([1, 1000, 70_000])) }
    var options: [TCPOption] = []
    if flags.contains(.syn) {
      options = [.bytes([2, 4, 5, 0xb4, 4, 2, 1, 3, 3, UInt8(below(8)), 1, 1])]
    } else if oneIn(2) {
      options = [.bytes([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2])]
    } else if oneIn(8) {
      options = [
        .bytes([1, 1, 5, 10] + bigEndian(acknowledgement &+ 10) + bigEndian(acknowledgement &+ 20))
      ]
    }
    let end =
      sequence &+ UInt32(payload.count) &+ (flags.contains(.syn) || flags.contains(.fin) ? 1 : 0)
    if isClient { talks[number].next.client = end } else { talks[number].next.server = end }
    return PacketBuilder.tcp(
      from: source, to: destination, flags: flags, sequence: sequence,
      acknowledgement: flags.contains(.ack) ? acknowledgement : 0,
      window: pick([64_240, 501, 0, 10]), options: options, payload: payload, ip)
  }

  /// Takes note of how a client's packet left.
  mutating func note(_ talk: Int, left bytes: [UInt8]) {
    var headers = PacketHeaders()
    guard PacketHeaders.decode(bytes.rawSpan, into: &headers) == nil, headers.transportOffset > 0,
      bytes.count >= headers.transportOffset + 4
    else { return }
    let at = headers.transportOffset
    talks[talk].seen = (
      Endpoint(headers.source, family, port: bytes.rawSpan.uint16(at: at)),
      Endpoint(headers.destination, family, port: bytes.rawSpan.uint16(at: at + 2))
    )
  }
}

@Suite struct BurstTests {
  static let rulesets = [
    "",
    """
    *filter
    :FORWARD DROP [0:0]
    -A FORWARD -m conntrack --ctstate INVALID -j DROP
    -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    -A FORWARD -i lan0 -j ACCEPT
    COMMIT
    """,
    """
    *nat
    :PREROUTING ACCEPT [0:0]
    :POSTROUTING ACCEPT [0:0]
    -A POSTROUTING -o wan0 -j MASQUERADE
    COMMIT
    *filter
    :FORWARD ACCEPT [0:0]
    -A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j ACCEPT
    -A FORWARD -m length --length 0:60
    -A FORWARD -p udp -m limit --limit 5/sec -j ACCEPT
    -A FORWARD -i wan0 -m conntrack --ctstate NEW -j DROP
    COMMIT
    """,
    """
    *mangle
    :PREROUTING ACCEPT [0:0]
    :FORWARD ACCEPT [0:0]
    :POSTROUTING ACCEPT [0:0]
    -A PREROUTING -p tcp -m tcp --dport 80 -j CONNMARK --set-xmark 0x7/0xff
    -A PREROUTING -j CONNMARK --restore-mark
    -A FORWARD -m mark --mark 0x7 -j RETURN
    -A FORWARD -p udp -j CONNMARK --set-xmark 0x1/0x0
    -A POSTROUTING -p tcp -m tcp --tcp-flags PSH PSH -j MARK --set-mark 1
    COMMIT
    *filter
    :FORWARD DROP [0:0]
    :deep - [0:0]
    -A FORWARD -p udp -j ACCEPT
    -A FORWARD -j deep
    -A FORWARD -p tcp -m connmark --mark 0x7 -j REJECT --reject-with tcp-reset
    -A deep -p tcp -m multiport --dports 22,80 -j ACCEPT
    -A deep -p tcp -m multiport --sports 22,80 -m conntrack --ctdir REPLY -j ACCEPT
    -A deep -m statistic --mode nth --every 3 --packet 0 -j ACCEPT
    COMMIT
    """,
    """
    *raw
    :PREROUTING ACCEPT [0:0]
    -A PREROUTING -p udp -m udp --dport 22 -j NOTRACK
    COMMIT
    *filter
    :FORWARD ACCEPT [0:0]
    -A FORWARD -m conntrack --ctexpire 200:400
    -A FORWARD -m conntrack --ctstatus ASSURED -j ACCEPT
    -A FORWARD -p tcp -m tcp --tcp-option 8
    -A FORWARD -p tcp -m tcp --dport 22 -j LOG
    COMMIT
    """,
  ]

  static let cases: [(ruleset: Int, family: AddressFamily, seed: UInt64)] =
    rulesets.indices.flatMap { ruleset in
      [AddressFamily.ipv4, .ipv6].flatMap { family in
        (1...4).map { (ruleset, family, UInt64($0)) }
      }
    }

  private func lab(_ ruleset: Int, _ family: AddressFamily, _ seed: UInt64) -> FirewallLab {
    let text = BurstTests.rulesets[ruleset]
    return FirewallLab(
      family == .ipv4 ? text : "", ipv6: family == .ipv6 ? text : "", seed: 7
    ) { settings in
      settings.acct = seed % 2 == 0 ? 1 : 0
      settings.tcpMaxRetransmissions = seed % 3 == 0 ? 1 : 3
      settings.checksum = seed % 4 == 0 ? 0 : 1
    }
  }

  private func line(_ outcome: PacketOutcome) -> String {
    "\(outcome.verdict) \(String(describing: outcome.hook)) \(String(describing: outcome.ctState)) "
      + "\(String(describing: outcome.direction)) \(outcome.connection.rawValue) \(outcome.reason) "
      + "\(String(describing: outcome.trackingReason)) \(outcome.outInterface.rawValue)"
  }

  @Test(arguments: cases)
  func burstsSayWhatSinglePacketsSay(
    _ test: (ruleset: Int, family: AddressFamily, seed: UInt64)
  ) {
    let single = lab(test.ruleset, test.family, test.seed)
    var talker = Talker(seed: test.seed &* 77, family: test.family)
    var script: [Scripted] = []
    var transcript = Transcript()
    var outcomes: [String] = []
    var buffer = PacketBuffer()
    var silent = SilentObserver()
    let ports = [true: "lan0", false: "wan0"].mapValues { single.firewall.interface(named: $0) }
    for _ in 0..<1500 {
      let (packet, talk, isClient) = talker.packet()
      script.append(packet)
      _ = buffer.assign(packet.bytes.rawSpan)
      let arrival = Arrival(
        interface: ports[packet.isLAN] ?? .none, family: test.family, timeNanoseconds: packet.time)
      transcript.last = nil
      outcomes.append(
        line(single.firewall.receive(&buffer, arrival, to: &transcript, observer: &silent)))
      if isClient, let left = transcript.last, transcript.lastPort == ports[false] {
        talker.note(talk, left: left)
      }
    }

    let bursts = lab(test.ruleset, test.family, test.seed)
    var burst = PacketBurst()
    var mine = Transcript()
    var mineOutcomes: [String] = []
    var index = 0
    while index < script.count {
      burst.removeAll()
      let end = min(index + 1 + talker.below(32), script.count)
      for packet in script[index..<end] {
        let arrival = Arrival(
          interface: ports[packet.isLAN] ?? .none, family: test.family,
          timeNanoseconds: packet.time)
        let isTaken = burst.append(packet.bytes.rawSpan, arrival)
        #expect(isTaken)
      }
      bursts.firewall.receive(&burst, to: &mine, observer: &silent)
      for place in 0..<burst.count { mineOutcomes.append(line(burst.outcome(place))) }
      index = end
    }
    let wrong = zip(outcomes, mineOutcomes).enumerated().first { $1.0 != $1.1 }
    #expect(wrong == nil, "packet \(wrong?.offset ?? 0): \(String(describing: wrong?.element))")
    #expect(outcomes.count == mineOutcomes.count)
    #expect(transcript.lines == mine.lines)
    #expect(single.table == bursts.table)
    #expect(single.heard() == bursts.heard())
    let counters = [single, bursts].map {
      let rules = $0.firewall.countedRules()
      return (test.family == .ipv4 ? rules.ipv4 : rules.ipv6).saveText(counters: true)
    }
    #expect(counters[0] == counters[1])
    // The shortcuts were taken where there is one to take.
    if test.ruleset == 1 { #expect(bursts.firewall.ways.count > 0) }
  }
}
