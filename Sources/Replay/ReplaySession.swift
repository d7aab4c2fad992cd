// A replay: frames of a capture in, in order, one report a packet out. Time is the capture's.

import Capture
import Conntrack
import ConntrackFormat
import Firewall
import HostSnapshot
import Ruleset
import Wire

/// How frames are read.
public struct ReplayOptions: Hashable, Sendable {
  /// The interface of frames whose capture names none.
  public var inInterface: String?
  /// Time stands still at the first packet.
  public var freezesClock = false
  /// Packets of which the capture holds only the beginning are filled up with zeros, and their
  /// checksums believed; otherwise they meet the fate of packets cut short on the wire.
  public var fillsTruncated = false

  public init() {}
}

/// One firewall and the frames it is shown.
public struct ReplaySession: ~Copyable {
  public var firewall: Firewall
  public let options: ReplayOptions
  private var summary = ReplaySummary()
  public var recorder = WayRecorder()
  private var totals = EmittedTotals()
  private var packet = PacketBuffer()
  /// Packets counted that have not gone their way yet, and their numbers.
  private var burst = PacketBurst()
  private var burstNumbers = InlineArray<32, Int>(repeating: 0)
  private var verdicts = InlineArray<8, Int>(repeating: 0)
  /// The capture's interfaces as the firewall numbers them; nil: not asked yet.
  private var interfaces: [InterfaceID?] = []
  private let fallback: InterfaceID
  private let hasSnapshot: Bool
  private var frozenTime: Int64?
  /// Listed in the snapshot; they begin to age with the first packet.
  var waiting: [Connection] = []
  /// Interfaces on which outbound frames were seen.
  private var outboundSeen: Set<InterfaceID> = []
  private var book = RuleBook()
  private var drops: [DropGroup: DropCount] = [:]

  public init(
    ruleset: Ruleset, snapshot: HostSnapshot, settings: ConntrackSettings, seed: UInt64,
    options: ReplayOptions
  ) throws(RulesetError) {
    self.options = options
    summary.fillsTruncated = options.fillsTruncated
    summary.rulesLeftOut = ruleset.ignored.count + ruleset.unheeded.count
    var firewall = try Firewall(
      ruleset: ruleset, host: snapshot.configuration, settings: settings, seed: seed)
    hasSnapshot = !snapshot.configuration.interfaces.isEmpty
    if let name = options.inInterface {
      fallback = firewall.interface(named: name)
    } else {
      // A host with one interface beside the loopback was captured on that one.
      let others = snapshot.configuration.interfaces.filter { !$0.flags.contains(.loopback) }
      fallback = others.count == 1 ? firewall.interface(named: others[0].name) : .none
    }
    self.firewall = firewall
  }

  // MARK: Frames

  /// What is known of a frame before its packet goes its way.
  private struct Placed {
    var link: LinkFrame
    var family: AddressFamily
    var interface: InterfaceID
    var way: FrameWay
    var time: Int64
  }

  private enum Placement {
    case packet(Placed)
    case notIP(String, InterfaceID, FrameWay)
  }

  /// Shows the firewall one frame and reports what became of it.
  public mutating func report(
    _ frame: CapturedFrame, _ bytes: RawSpan, in captureInterfaces: [CaptureInterface]
  ) -> PacketReport {
    settle()
    count(frame)
    var report = PacketReport(number: frame.number, timeNanoseconds: frame.timeNanoseconds)
    recorder.reset()
    switch place(frame, bytes, captureInterfaces) {
    case .notIP(let what, let interface, let way):
      report.seenOn = firewall.interfaces.name(interface)
      report.inInterface = way == .outbound ? nil : report.seenOn
      report.outcome.verdict = .ignored
      report.frameDescription = describe(frame, bytes) ?? what
      report.reason = "not an IP packet: \(what)"
      summary.ignoredByKind[what, default: 0] += 1
      advanceClock(to: time(of: frame))
    case .packet(let placed):
      report.seenOn = firewall.interfaces.name(placed.interface)
      report.inInterface = placed.way == .outbound ? nil : report.seenOn
      load(placed, frame, bytes)
      report.bytes = packet.bytes.array
      if recorder.keepsSteps {
        sendSlowly(placed, frame, &report)
      } else {
        send(placed, frame, &report)
      }
    }
    report.events = firewall.tracker.takeEvents()
    tally(report.outcome, frame.number)
    return report
  }

  /// The same without a report, for totals alone. Packets go their way in bursts: what they come to is
  /// known after `settle`, or at once where events are recorded.
  public mutating func count(
    _ frame: CapturedFrame, _ bytes: RawSpan, in captureInterfaces: [CaptureInterface]
  ) {
    count(frame)
    switch place(frame, bytes, captureInterfaces) {
    case .notIP(let what, _, _):
      var outcome = PacketOutcome()
      outcome.verdict = .ignored
      summary.ignoredByKind[what, default: 0] += 1
      tally(outcome, frame.number)
    case .packet(let placed):
      if joinsBurst(placed, frame, bytes) { return }
      settle()
      load(placed, frame, bytes)
      var report = PacketReport(number: frame.number, timeNanoseconds: frame.timeNanoseconds)
      send(placed, frame, &report, explains: false)
      tally(report.outcome, frame.number)
    }
  }

  /// Puts an inbound packet to the others of its burst. False where it must go by itself.
  private mutating func joinsBurst(
    _ placed: Placed, _ frame: CapturedFrame, _ bytes: RawSpan
  ) -> Bool {
    let (start, length) = (placed.link.networkOffset, placed.link.networkLength)
    guard placed.way == .inbound, length <= PacketBurst.longestPacket,
      !options.fillsTruncated || frame.capturedLength >= frame.originalLength
    else { return false }
    burstNumbers[burst.count] = frame.number
    guard burst.append(bytes.slice(start..<start + length), arrival(placed, frame)) else {
      return false
    }
    if burst.count == PacketBurst.capacity || firewall.tracker.recordsEvents { settle() }
    return true
  }

  /// Lets all packets counted so far go their way.
  public mutating func settle() {
    if burst.count == 0 { return }
    var silent = SilentObserver()
    firewall.receive(&burst, to: &totals, observer: &silent)
    summary.emitted += totals.takeCount()
    for index in 0..<burst.count { tally(burst.outcome(index), burstNumbers[index]) }
    burst.removeAll()
  }

  private mutating func count(_ frame: CapturedFrame) {
    if !waiting.isEmpty {
      advanceClock(to: time(of: frame))
      for connection in waiting { _ = firewall.tracker.restore(connection) }
      waiting = []
    }
    summary.frames += 1
    summary.bytes += UInt64(frame.originalLength)
    if frame.timeNanoseconds < summary.lastTimeNanoseconds ?? .min {
      summary.earlierThanBefore += 1
    }
    summary.firstTimeNanoseconds = summary.firstTimeNanoseconds ?? frame.timeNanoseconds
    summary.lastTimeNanoseconds = max(
      summary.lastTimeNanoseconds ?? frame.timeNanoseconds, frame.timeNanoseconds)
    if frame.capturedLength < frame.originalLength { summary.cutShort += 1 }
  }

  private mutating func tally(_ outcome: PacketOutcome, _ number: Int) {
    verdicts[Int(outcome.verdict.rawValue)] += 1
    if outcome.verdict == .drop || outcome.verdict == .reject {
      drops[DropGroup(outcome), default: DropCount(first: number)].packets += 1
    }
    if outcome.lacksAddressForNAT { summary.lackingAddressForNAT += 1 }
    if case .badChecksum = outcome.trackingReason { summary.badChecksums += 1 }
    summary.connectionsNow = firewall.tracker.count
    summary.connectionsCreated = firewall.tracker.created
  }

  private mutating func time(of frame: CapturedFrame) -> Int64 {
    if !options.freezesClock { return frame.timeNanoseconds }
    let time = frozenTime ?? frame.timeNanoseconds
    frozenTime = time
    return time
  }

  private mutating func advanceClock(to time: Int64) {
    var silent = SilentObserver()
    while true {
      var sink = EmittedCollector()
      guard let number = firewall.expireFragments(by: time, to: &sink, observer: &silent) else {
        break
      }
      summary.emitted += sink.packets.count
      for emitted in sink.packets {
        totals.memory.add(
          emitted.bytes.rawSpan, emitted.interface, isAnswer: emitted.isAnswer,
          cause: Int(number), at: time)
      }
    }
    firewall.advance(to: time)
  }

  // MARK: Which way

  private mutating func place(
    _ frame: CapturedFrame, _ bytes: RawSpan, _ captureInterfaces: [CaptureInterface]
  ) -> Placement {
    let link = LinkFrame.decode(bytes, linkType: frame.linkType)
    let interface = interface(of: frame, captureInterfaces)
    var evidence = FrameEvidence(
      cookedPacketType: link.cookedPacketType, sourceMAC: link.sourceMAC,
      destinationMAC: link.destinationMAC, interfaceMAC: macAddress(interface))
    evidence.isOnLoopback =
      interface != .none && firewall.host.interfaces[Int(interface.rawValue)].isLoopback
    switch frame.direction {
    case .inbound: evidence.captureSays = .inbound
    case .outbound: evidence.captureSays = .outbound
    case nil: break
    }
    guard let family = link.family else {
      return .notIP(link.notIPReason?.text ?? "unknown", interface, FrameWay(evidence))
    }
    if let source = sourceAddress(bytes, link, family) {
      evidence.sourceIsLocal = firewall.host.isLocal(source, family)
    }
    return .packet(
      Placed(
        link: link, family: family, interface: interface, way: FrameWay(evidence),
        time: time(of: frame)))
  }

  private func sourceAddress(
    _ bytes: RawSpan, _ link: LinkFrame, _ family: AddressFamily
  ) -> IPAddress? {
    let at = link.networkOffset
    if family == .ipv4 {
      guard link.networkLength >= 20 else { return nil }
      return IPAddress(ipv4: bytes.uint32(at: at + IPv4Field.source))
    }
    guard link.networkLength >= 40 else { return nil }
    return IPAddress(
      high: bytes.uint64(at: at + IPv6Field.source),
      low: bytes.uint64(at: at + IPv6Field.source + 8))
  }

  private func macAddress(_ interface: InterfaceID) -> UInt64? {
    interface == .none ? nil : firewall.host.interfaces[Int(interface.rawValue)].macAddress
  }

  private mutating func interface(
    of frame: CapturedFrame, _ captureInterfaces: [CaptureInterface]
  ) -> InterfaceID {
    let index = frame.interfaceIndex
    while interfaces.count <= index { interfaces.append(nil) }
    if let known = interfaces[index] { return known }
    settle()
    let id: InterfaceID
    if options.inInterface != nil {
      id = fallback
    } else if index < captureInterfaces.count, let name = captureInterfaces[index].name,
      !name.isEmpty
    {
      id = firewall.interface(named: name)
    } else {
      id = fallback
    }
    interfaces[index] = id
    let named = Set(
      captureInterfaces.compactMap(\.name).filter { !$0.isEmpty }.map {
        firewall.interface(named: $0)
      })
    firewall.forwardingPair =
      named.count == 2 ? named.sorted { $0.rawValue < $1.rawValue } : []
    return id
  }

  // MARK: Packets

  /// Puts the frame's packet into the buffer.
  private mutating func load(_ placed: Placed, _ frame: CapturedFrame, _ bytes: RawSpan) {
    let start = placed.link.networkOffset
    let length = min(placed.link.networkLength, packet.capacity)
    _ = packet.assign(bytes.slice(start..<start + length))
    if options.fillsTruncated && frame.capturedLength < frame.originalLength {
      let whole = length + frame.originalLength - frame.capturedLength
      if whole <= packet.capacity { packet.resize(to: whole) }
    }
  }

  /// - Parameter explains: whether the report's words and path are wanted; else only what counts.
  private mutating func send(
    _ placed: Placed, _ frame: CapturedFrame, _ report: inout PacketReport,
    explains: Bool = true
  ) {
    switch placed.way {
    case .forAnotherHost:
      advanceClock(to: placed.time)
      report.outcome.verdict = .ignored
      report.reason = "sent to another machine's link-layer address"
      summary.ignoredByKind["for another machine on the link", default: 0] += 1
      return
    case .outbound:
      outboundSeen.insert(placed.interface)
      summary.showsOutbound = true
      advanceClock(to: placed.time)
      if let cause = causeOfPacket(placed) {
        report.cause = cause
        summary.ignoredByKind["seen leaving", default: 0] += 1
        report.outcome.verdict = .ignored
        report.observed = true
        report.reason = "an emitted packet, seen leaving"
        return
      }
      var headers = PacketHeaders()
      let isReadable =
        PacketHeaders.decode(packet.bytes, family: placed.family, into: &headers) == nil
      guard isReadable,
        firewall.takeBackTranslation(&packet, headers, at: placed.time)
      else {
        summary.unexplained += 1
        summary.ignoredByKind["unexplained", default: 0] += 1
        report.outcome.verdict = .ignored
        report.observed = false
        report.reason = "unexplained: the machine sent this, Weir would not have"
        return
      }
    case .inbound: advanceClock(to: placed.time)
    }

    let arrival = arrival(placed, frame)
    var sink = EmittedCollector()
    if explains {
      report.outcome =
        placed.way == .outbound
        ? firewall.send(&packet, arrival, to: &sink, observer: &recorder)
        : firewall.receive(&packet, arrival, to: &sink, observer: &recorder)
      explain(&report)
    } else {
      var silent = SilentObserver()
      report.outcome =
        placed.way == .outbound
        ? firewall.send(&packet, arrival, to: &sink, observer: &silent)
        : firewall.receive(&packet, arrival, to: &sink, observer: &silent)
    }
    summary.emitted += sink.packets.count
    for emitted in sink.packets {
      if explains {
        report.emitted.append((firewall.interfaces.name(emitted.interface), emitted))
      }
      // What the host sends itself is in the capture as this very frame.
      if placed.way == .outbound && !emitted.isAnswer { continue }
      totals.memory.add(
        emitted.bytes.rawSpan, emitted.interface, isAnswer: emitted.isAnswer,
        cause: frame.number, at: placed.time)
    }
  }

  /// What led to the packet in the buffer, if it was sent before.
  private mutating func causeOfPacket(_ placed: Placed) -> EmittedCause? {
    // A copy, since the compiler takes a span of one property for a claim to others.
    let bytes = packet.bytes.array
    return totals.memory.cause(of: bytes.rawSpan, on: placed.interface, at: placed.time)
  }

  private func arrival(_ placed: Placed, _ frame: CapturedFrame) -> Arrival {
    var arrival = Arrival(
      interface: placed.interface, family: placed.family, timeNanoseconds: placed.time)
    arrival.sourceMAC = placed.link.sourceMAC
    arrival.packetType = packetType(placed.link)
    arrival.number = Int32(truncatingIfNeeded: frame.number)
    arrival.isFilledUp =
      options.fillsTruncated && frame.capturedLength < frame.originalLength
    return arrival
  }

  /// As `send`, with all that `--packet` tells.
  private mutating func sendSlowly(
    _ placed: Placed, _ frame: CapturedFrame, _ report: inout PacketReport
  ) {
    advanceClock(to: placed.time)
    let tuple = LooseHeaders(packet.bytes)?.tuple(packet.bytes)
    let before = firewall.tracker.connections()
    send(placed, frame, &report)
    var way = PacketWay()
    way.steps = recorder.steps
    way.bytesAfter = packet.bytes.array
    let id = report.connection?.id
    report.before =
      before.first { $0.original == tuple || $0.reply == tuple } ?? before.first { $0.id == id }
    way.after = report.connection
    if way.after == nil, let known = report.before?.id {
      way.after = firewall.tracker.connections().first { $0.id == known }
    }
    report.way = way
  }

  /// What a frame without IP is, if it is ARP.
  private func describe(_ frame: CapturedFrame, _ bytes: RawSpan) -> String? {
    let link = LinkFrame.decode(bytes, linkType: frame.linkType)
    guard link.notIPReason == .arp else { return nil }
    return ARPText.text(bytes.slice(link.networkOffset..<link.networkOffset + link.networkLength))
  }

  private func packetType(_ link: LinkFrame) -> PacketType {
    switch link.cookedPacketType {
    case 1: return .broadcast
    case 2: return .multicast
    default: break
    }
    guard let destination = link.destinationMAC else { return .unicast }
    if destination == 0xffff_ffff_ffff { return .broadcast }
    return destination >> 40 & 1 == 1 ? .multicast : .unicast
  }

  private mutating func explain(_ report: inout PacketReport) {
    let outcome = report.outcome
    report.decision = outcome.decidingRule.flatMap { book.note($0, outcome.family, firewall) }
    report.reason = outcome.sentence(report.decision)
    if outcome.outInterface != .none {
      report.outInterface = firewall.interfaces.name(outcome.outInterface)
    }
    for rule in recorder.path {
      guard let note = book.note(rule, outcome.family, firewall) else { continue }
      let rule = note.description
      report.path.append(
        PathEntry(
          table: rule.table, chain: rule.chain, rule: rule.number == 0 ? nil : rule.number,
          target: rule.target))
      if rule.table == .nat && rule.number != 0 { report.natRules.append(note) }
    }
    for (rule, log) in recorder.logs {
      report.logs.append(
        (
          firewall.logPrefix(log, outcome.family),
          book.note(rule, outcome.family, firewall)?.description
        ))
    }
    if !outcome.connection.isNone {
      report.connection = firewall.tracker.connection(outcome.connection)
    }
    if outcome.hook == .input && outcome.verdict == .accept,
      let status = report.connection?.status,
      !status.isDisjoint(with: [.sourceNAT, .destinationNAT])
    {
      report.delivered = packet.bytes.array
    }
  }

  /// Ends the replay: what was sent and not seen leaving is now known.
  public mutating func finish() -> ReplaySummary {
    settle()
    for verdict in PacketVerdict.allCases where verdicts[Int(verdict.rawValue)] > 0 {
      summary.verdicts[verdict] = verdicts[Int(verdict.rawValue)]
    }
    totals.memory.finish()
    for interface in outboundSeen {
      summary.seenLeaving += totals.memory.seen(on: interface)
      summary.notSeenLeaving += totals.memory.unseen(on: interface)
    }
    for (group, count) in drops {
      let rule = group.rule.flatMap { book.note($0, group.family, firewall) }
      let words = group.text(rule)
      let known = summary.dropsByReason[words]
      summary.dropsByReason[words] = DropCount(
        packets: (known?.packets ?? 0) + count.packets,
        first: min(known?.first ?? .max, count.first))
    }
    drops = [:]
    return summary
  }
}

extension ReplaySession {
  /// Fills the table with what a snapshot lists, as of the first packet. Entries whose tuples are
  /// taken are left out.
  public mutating func restore(_ connections: [Connection]) {
    waiting = connections
  }
}
